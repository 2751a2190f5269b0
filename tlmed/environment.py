"""What a run ran on: versions, devices, threads, the state of the code."""

import importlib.metadata
import math
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

PACKAGES = ("tlmed", "tensorflow", "keras", "numpy", "scikit-learn", "tensorflow-datasets", "pillow", "h5py")
EXTRAS = ("openvino",)


def describe_environment() -> dict:
    """Return what may change a result: versions, devices, threads, and the git commit of the code."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version for name in PACKAGES + EXTRAS if (version := _find_version(name))},
        "devices": [f"{device.device_type}: {device.name}" for device in tf.config.list_physical_devices()],
        "cpus": os.cpu_count(),
        # 0 means: as many as there are cores
        "threads": {
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
        },
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "git_commit": git_commit(Path(__file__).parent),
    }


def _find_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # an extra
        return None


def git_commit(folder: Path) -> str | None:
    """Return the commit that `folder` is at, with "+changes" behind it if files differ; None outside git."""

    def git(*words):
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + ("+changes" if git("status", "--porcelain", "--untracked-files=no", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def memory_limit() -> float:
    """Return the bytes that this process can hold: infinite on a GPU, whose allocator reports by itself what it lacks.

    On a CPU TensorFlow crashes where an allocation fails, so that what cannot work must be known before.
    """
    if tf.config.list_physical_devices("GPU"):
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return physical if limit == resource.RLIM_INFINITY else min(limit, physical)


def peak_memory_mb() -> int:
    """Return the most memory that this process has held, in megabytes (2**20 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)
