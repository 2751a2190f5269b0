"""How much memory a process can hold, can still take, and has held."""

import math
import os
import resource
import sys
from pathlib import Path

import psutil

from tlmed.errors import RunFailed

# Bytes of address space that a run may take once its network is built. A small one on two cores took 1.8 GB, and with
# a limit a little above that TensorFlow could not start a thread and aborted. More cores mean more threads.
SPACE = 5 * 2**29 + (os.cpu_count() or 1) * 2**26
_GROUPS = Path("/sys/fs/cgroup")
_GROUP_FILES = {  # of a control group's limit and use, in version 2 and version 1
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def memory_limit(on_gpu: bool) -> float:
    """Return the bytes that this process can hold; infinite on a GPU, whose allocator reports a lack by itself.

    On a CPU TensorFlow crashes if an allocation fails, so a lack of memory must be found before.
    """
    if on_gpu:
        return math.inf
    return psutil.Process().memory_info().rss + free_memory()


def free_memory() -> int:
    """Return the bytes that this process can still take: of the machine, its control groups and its address space."""
    free = [psutil.virtual_memory().available + psutil.swap_memory().free, *_free_in_groups()]
    if (space := _free_address_space()) is not None:
        free.append(space)
    return max(0, min(free))


def check_address_space(needed: int) -> None:
    """Refuse to train if the address space is too small, because TensorFlow would end the process with a C++ stack.

    Args:
        needed: The bytes that training needs in addition to TensorFlow's own.

    Raises:
        RunFailed: If it is limited, as by `ulimit -v`, and too small.
    """
    left = _free_address_space()
    if left is not None and left < SPACE + needed:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        # In units of 1,024 bytes, as `ulimit -v` takes them, rounded up to a mebibyte.
        least = math.ceil((limit - left + SPACE + needed) / 2**20) * 2**10
        raise RunFailed(
            f"The address space must have room for training: `ulimit -v` must be {least} or more, or `unlimited`. "
            f"Received: ulimit -v {limit // 2**10}."
        )


def _free_address_space() -> int | None:
    """Return the bytes of address space that are left; None if there is no limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit - psutil.Process().memory_info().vms


def _free_in_groups(membership: Path = Path("/proc/self/cgroup"), groups: Path = _GROUPS) -> list[int]:
    """Return the bytes left in each control group of this process; groups without a limit are left out.

    Cached file content that the system would drop counts as free.
    """
    if not membership.is_file():
        return []
    free = []
    for line in membership.read_text().splitlines():
        _, kind, name = line.split(":", 2)
        if kind in _GROUP_FILES:
            limit, used, cached = _GROUP_FILES[kind]
            root = groups / kind
            own = root / name.strip("/")
            # In a container the name may be that on its host, and the root of the tree is the container's own group.
            for group in (own, *own.parents) if own.is_dir() else (root,):
                if group.is_relative_to(root) and (left := _left_in(group, limit, used, cached)) is not None:
                    free.append(left)
    return free


def _left_in(group, limit, used, cached) -> int | None:
    try:
        most, now = (group / limit).read_text().strip(), int((group / used).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:  # the root of all groups has no such files
        return None
    return None if most == "max" else int(most) - now + int(stat.get(cached, 0))


def peak_memory_mb() -> int:
    """Return the most memory that this process has held, in megabytes (2**20 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS reports bytes, Linux kibibytes.
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)
