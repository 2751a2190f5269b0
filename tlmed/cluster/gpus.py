"""The GPUs of one machine, divided among the processes that run on it."""

import subprocess
from collections.abc import Mapping, Sequence

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that a process sees, as CUDA_VISIBLE_DEVICES names them; TensorFlow is not asked.

    TensorFlow looks only once, and keeps to what is visible at that moment.

    >>> visible_gpus({"CUDA_VISIBLE_DEVICES": "2,3"}), visible_gpus({"CUDA_VISIBLE_DEVICES": ""})
    (['2', '3'], [])
    """
    if VARIABLE in environment:
        names = [name.strip() for name in environment[VARIABLE].split(",")]
        # These hide all; the second is Slurm's.
        return [name for name in names if name and name not in ("-1", "NoDevFiles")]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []  # no driver, no GPUs
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


def share_of(gpus: Sequence[str], processes: int, position: int) -> list[str]:
    """Return the share of one of the processes; an empty list if there are fewer GPUs than processes.

    >>> share_of(["0", "1", "2", "3", "4"], 2, 1), share_of(["0"], 2, 0)
    (['2', '3'], [])
    """
    each = len(gpus) // processes
    return list(gpus[position * each : (position + 1) * each])
