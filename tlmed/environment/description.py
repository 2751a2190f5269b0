"""What a run ran on: versions, processor, devices, threads, the state of the code."""

import tlmed.tensorflow_start

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import tensorflow as tf
import threadpoolctl

from tlmed.environment.packages import describe_packages
from tlmed.environment.processor import describe_processor

# The libraries that compute: another version of one of them may give other numbers.
COMPUTING = (
    *("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "tensorflow-datasets", "pillow", "h5py"),
    *("openvino", "joblib"),
)
# Variables that set threads and choose code, for TensorFlow, oneDNN, OpenMP and BLAS.
VARIABLES = (
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("MKL_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OPENBLAS_CORETYPE"),
    *("TF_DETERMINISTIC_OPS", "NVIDIA_TF32_OVERRIDE"),
)


def describe_environment() -> dict:
    """Return what may change a result: versions, processor, devices, threads, and the git commit of the code."""
    found = describe_packages()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: found["packages"][name] for name in ("tlmed", *COMPUTING) if name in found["packages"]},
        "processor": describe_processor(),
        "devices": [f"{device.device_type}: {device.name}" for device in tf.config.list_physical_devices()],
        "gpus": _describe_gpus(),
        "cpus": count_cores(),
        "threads": count_threads(),
        "libraries": _describe_libraries(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "packages": found["packages"],
        "package_hashes": found["hashes"],
    }


def describe_code() -> dict:
    """Return tlmed's version, the git commit that it is at (None outside git), and the SHA-256 of all its code."""
    commit, digest = _read_code()
    return {"version": importlib.metadata.version("tlmed"), "git_commit": commit, "sha256": digest}


# Once: a process goes on with the code that it has loaded, and each fold of a cross-validation asks for it.
@functools.cache
def _read_code() -> tuple[str | None, str]:
    """Return the git commit and the SHA-256 of tlmed's code."""
    folder, found = Path(__file__).parent.parent, hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        found.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return git_commit(folder), found.hexdigest()


def has_gpu() -> bool:
    """Tell whether TensorFlow computes on a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def count_cores() -> int:
    """Return how many cores this process may use; TensorFlow makes as many threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_threads() -> dict[str, int]:
    """Return how many threads TensorFlow takes inside an operation and for operations side by side.

    The number set in code counts first, then that of TensorFlow's variables, then one for each core.
    """
    threading = tf.config.threading
    set_in_code = {
        "intra_op": threading.get_intra_op_parallelism_threads(),
        "inter_op": threading.get_inter_op_parallelism_threads(),
    }
    said = {name: os.environ.get(f"TF_NUM_{name.replace('_', '').upper()}_THREADS", "") for name in set_in_code}
    return {
        name: number or (int(said[name]) if said[name].isdigit() else 0) or count_cores()
        for name, number in set_in_code.items()
    }


def _describe_gpus() -> list[dict]:
    gpus = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    build = {name: tf.sysconfig.get_build_info().get(name) for name in ("cuda_version", "cudnn_version")}
    return [{"name": gpu.get("device_name"), **build} for gpu in gpus]


def _describe_libraries() -> dict[str, str]:
    """Return the libraries for linear algebra and threads that are loaded: version, code chosen, and threads."""
    found = {}
    for library in threadpoolctl.threadpool_info():
        name = f"{library['prefix']} {library.get('version') or ''}".strip()
        found[name] = f"{library.get('architecture') or ''} {library['num_threads']} threads".strip()
    return dict(sorted(found.items()))


def git_commit(folder: Path) -> str | None:
    """Return the commit that `folder` is at, with "+changes" after it if files differ; None outside git."""

    def git(*words):
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        # Of files in this folder that git knows; the SHA-256 of `describe_code` covers all others.
        return commit + ("+changes" if git("status", "--porcelain", "--untracked-files=no", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
