"""Who works on a study: a file for each process, with what it trains; when it was written is its last sign of life.

The file is locked while the process runs, and the system lets go when it ends, however it ends. So on one machine it
is told at once that a process has ended; of another machine the age of the file tells it.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from tlmed.run_files.study_files import CELLS_CSV

OWNERS = "owners"  # the folder of these files
BEAT_SECONDS = 10  # between two signs of life, at most
GRACE_SECONDS = 40  # without one, after which a process on another machine counts as ended
_SAME_START = 1.0  # seconds by which two readings of when a process started may differ
_BOOT, _NAMES = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class Process:
    """What tells a process from all others.

    Attributes:
        host: The name of its machine.
        machine: What processes have in common that see each other's numbers, until the machine starts again; "" where
            that is not known. Machines, and containers on one, may have the same name.
        pid: Its number, which another process may have later.
        started: When it started, in seconds after its machine did: clocks are set, and this stays.
    """

    host: str
    machine: str
    pid: int
    started: float

    @property
    def has_ended(self) -> bool:
        """Tell whether it has ended for certain; False also where this cannot be known from here."""
        if not self.machine or (self.host, self.machine) != (socket.gethostname(), _name_machine()):
            return False
        started = _read_start(self.pid)
        return started is None or abs(started - self.started) > _SAME_START


def describe_process(pid: int) -> Process:
    """Return what tells a process that runs on this machine from all others.

    >>> describe_process(os.getpid()).has_ended
    False
    """
    return Process(socket.gethostname(), _name_machine(), pid, _read_start(pid))


def read_process(content: object) -> Process | None:
    """Return the process that a text or a database describes; None where it describes none."""
    try:
        return Process(**{name: content[name] for name in Process.__dataclass_fields__})
    except (TypeError, KeyError):
        return None


def _name_machine() -> str:
    """Return what this boot of the machine and this space of process numbers are called; "" where Linux is not used."""
    try:
        return f"{_BOOT.read_text().strip()} {os.readlink(_NAMES)}"
    except OSError:
        return ""


def _read_start(pid: int) -> float | None:
    """Return when a process started, in seconds after the machine did; None if it has ended."""
    try:
        process = psutil.Process(pid)
        # One that has ended stays in the table until its parent asks how.
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return None


@dataclass(frozen=True)
class Owner:
    """A process that works on a study, or did.

    Attributes:
        process: Which; None where its file does not say it.
        cells: The names of the cells that it trains.
        age: Seconds since its last sign of life.
        is_held: Whether it holds the lock of its file.
    """

    process: Process | None
    cells: tuple[str, ...]
    age: float
    is_held: bool

    @property
    def has_ended(self) -> bool:
        """Tell whether it has ended, or counts as ended because another machine gave no sign of life."""
        if self.is_held:
            return False
        return self.age > GRACE_SECONDS or (self.process is not None and self.process.has_ended)


def take_file(folder: Path, name: str) -> BinaryIO:
    """Make the file of this process in the directory of a study, and return it locked; it is closed to let go."""
    file = folder / OWNERS / name
    file.parent.mkdir(parents=True, exist_ok=True)
    stream = os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b", buffering=0)
    fcntl.flock(stream, fcntl.LOCK_EX)
    return stream


def write_sign(stream: BinaryIO, process: Process, cells: Sequence[str]) -> None:
    """Give a sign of life: write down which process it is, and which cells it trains.

    Args:
        stream: As `take_file` returned it.
        process: This process.
        cells: Their names.
    """
    # In place, because the lock is on this file; whoever reads at this moment takes the first line, which is whole.
    line = (json.dumps({**asdict(process), "cells": list(cells)}) + "\n").encode()
    os.pwrite(stream.fileno(), line, 0)
    os.ftruncate(stream.fileno(), len(line))
    os.utime(stream.fileno())


def is_held(file: Path) -> bool:
    """Tell whether the process that locked a file still runs."""
    try:
        stream = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(stream)


def read_owners(folder: Path) -> list[Owner]:
    """Return who works on the study in a directory, or did when it was killed; the latest sign of life first."""
    files = (folder / OWNERS).iterdir() if (folder / OWNERS).is_dir() else ()
    return sorted(filter(None, map(_read_owner, files)), key=lambda owner: owner.age)


def _read_owner(file: Path) -> Owner | None:
    try:
        line, age = file.read_bytes().partition(b"\n")[0], time.time() - file.stat().st_mtime
    except FileNotFoundError:  # it has just ended well
        return None
    try:
        content = json.loads(line)
    except ValueError:  # of an earlier version, which wrote nothing into it
        content = {}
    return Owner(read_process(content), tuple(content.get("cells", ())), max(0.0, age), is_held(file))


def find_age(folder: Path, owners: Iterable[Owner]) -> float:
    """Return the seconds since the last sign of life in the directory of a study: of a process, or a written table.

    Args:
        folder: The directory, which has tables.
        owners: As `read_owners` returned them.
    """
    written = max(0.0, time.time() - (folder / CELLS_CSV).stat().st_mtime)
    return min([written, *(owner.age for owner in owners)])
