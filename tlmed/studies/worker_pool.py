"""The processes on this machine that train cells: started, given jobs, watched, replaced and stopped."""

import contextlib
import glob
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tlmed.cluster import leave_cluster
from tlmed.cluster.gpus import visible_gpus
from tlmed.launch import start_leashed
from tlmed.studies.jobs import LESS, READY

ROOM = 5 * 2**29  # bytes of memory that a job of a usual size takes
_MOST_CELLS = 40  # that one process trains: what libraries keep for ever comes back with a new one
_MOST_BYTES = 3 * 2**30  # that an idle process may hold to be used again
_GRACE = 60.0  # seconds in which a process that is hired for a block may end
_LOOK = 5.0  # seconds for which the end of a process is waited for at a time
_TAIL = 2_000  # bytes of a log in which the last line is looked for
PROGRAM = """
import os
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {cores})  # TensorFlow, OpenVINO and BLAS make as many threads as they find cores
from tlmed.studies.cell_worker import main
main()
"""


@dataclass(eq=False)
class Worker:
    """One process.

    Attributes:
        number: Its place, from 0: which cores it has.
        process: The process.
        log: What it prints.
        answers: What it says; None at the end.
        reader: Takes what it says.
        job: What it does now; None where it is idle.
        is_ready: Whether it has loaded TensorFlow.
        cells: How many jobs it has been given.
    """

    number: int
    process: subprocess.Popen
    log: Path
    answers: queue.SimpleQueue
    reader: threading.Thread
    job: object = None
    is_ready: bool = False
    cells: int = 0

    def give(self, job: object, line: str) -> None:
        """Give it a job; a process that has ended is noticed by `Pool.listen`."""
        self.job, self.cells = job, self.cells + 1
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()

    def has_ended(self, wait: float) -> bool:
        """Tell whether the process has ended, or does within some seconds."""
        try:
            self.process.wait(wait)
        except subprocess.TimeoutExpired:
            return False
        return True

    def bury(self) -> None:
        """Close what is left of a process that has ended."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.reader.join()


def list_cores() -> list[int]:
    """Return the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def share_cores(jobs: int) -> list[list[int]]:
    """Return which cores each of several processes has.

    >>> [len(share_cores(jobs)) for jobs in (1, 3)], share_cores(1) == [list_cores()]
    ([1, 3], True)
    """
    cores = list_cores()
    if jobs >= len(cores):
        return [[cores[number % len(cores)]] for number in range(jobs)]
    each, more = divmod(len(cores), jobs)
    sizes = [each + (number < more) for number in range(jobs)]
    return [cores[sum(sizes[:number]) : sum(sizes[: number + 1])] for number in range(jobs)]


def choose_jobs(asked: int | None, free: int) -> int:
    """Return how many processes train at a time: as many as asked for, else as fit into cores and memory.

    Args:
        asked: What a user asks for; None: nothing.
        free: Bytes of free memory.
    """
    return asked or max(1, min(len(list_cores()), free // ROOM))


class Pool:
    """Several processes, each with cores of its own.

    Args:
        jobs: How many.
        logs: Where their logs go.
    """

    def __init__(self, jobs: int, logs: Path):
        self.cores, self.logs = share_cores(jobs), logs
        self.name = f"{socket.gethostname()}-{os.getpid()}"  # machines that share a folder may have the same number
        logs.mkdir(exist_ok=True)
        self.workers: dict[int, Worker] = {}
        self.leaving: list[Worker] = []  # those that end by themselves
        self.is_ending = False
        self.has_gpu = bool(visible_gpus(os.environ))
        self.heard = threading.Event()  # that a process has said something

    def wait(self, seconds: float) -> None:
        """Wait until a process has said something, for some seconds at most."""
        self.heard.wait(seconds)
        self.heard.clear()  # before `listen` looks: what is said from now on sets it again

    def find_idle(self, wanted: int) -> Worker | None:
        """Return a process that waits for a job; None where all are busy, or start.

        Args:
            wanted: How many jobs wait. As many processes start at once if there is room: loading TensorFlow takes them
                seconds.
        """
        idle = [worker for worker in self.workers.values() if worker.job is None]
        free = [number for number in range(len(self.cores)) if number not in self.workers]
        for number in free[: max(0, wanted - len(idle))]:
            self.workers[number] = self._start(number)
        return next((worker for worker in idle if worker.is_ready), None)

    def listen(self) -> list[tuple[Worker, dict | None]]:
        """Return what processes have said since the last time; None of one that has ended while it had a job."""
        heard = []
        gone = [worker for worker in self.leaving if worker.process.poll() is not None]
        self.leaving = [worker for worker in self.leaving if worker not in gone]
        for worker in gone:
            worker.bury()
        for worker in list(self.workers.values()):
            has_answered = False
            while not worker.answers.empty():
                answer = worker.answers.get()
                if answer is None:
                    worker.bury()
                    del self.workers[worker.number]
                    is_lost = worker.job is not None or not (worker.is_ready or self.is_ending)
                    if is_lost and not has_answered:
                        heard.append((worker, None))
                    break
                if answer["state"] == READY:
                    worker.is_ready = True
                    continue
                heard.append((worker, answer))
                has_answered = True
        return heard

    def release(self, worker: Worker, keep: bool) -> None:
        """Take back a process whose job is done: it stays if that is worth while, or ends and gives its memory back."""
        worker.job = None
        if keep and worker.cells < _MOST_CELLS and _count_bytes(worker.process.pid) < _MOST_BYTES:
            return
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.close()
        if self.workers.pop(worker.number, None) is not None:
            self.leaving.append(worker)

    def end(self, grace: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Ask all processes to stop, and kill what still runs after some seconds; empty logs are removed.

        Args:
            grace: How many seconds.
            meanwhile: Is called every few seconds while they stop.
        """
        self.is_ending = True
        for worker in self.workers.values():
            if worker.job is None:
                worker.process.kill()  # it holds nothing that could be lost, and may still be loading TensorFlow
            else:
                worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        for worker in (*self.workers.values(), *self.leaving):
            while not worker.has_ended(min(_LOOK, max(0.1, deadline - time.monotonic()))):
                meanwhile()
                if time.monotonic() > deadline:
                    worker.process.kill()
            worker.bury()
        for log in self.logs.glob(f"{glob.escape(self.name)}-*.log"):
            if not log.stat().st_size:
                log.unlink()

    def _start(self, number: int) -> Worker:
        log = self.logs / f"{self.name}-{number}.log"
        program = (sys.executable, "-P", "-c", PROGRAM.format(cores=self.cores[number]))
        with log.open("ab") as stream:
            # The tasks of a Slurm step share the cells; a cell is not one training of all of them.
            process = start_leashed(program, leave_cluster(os.environ), subprocess.PIPE, stream)
        answers: queue.SimpleQueue = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process.stdout, answers, self.heard), daemon=True)
        reader.start()
        return Worker(number, process, log, answers, reader)


@contextlib.contextmanager
def hire(jobs: int) -> Iterator[Pool]:
    """Give processes that end with the block, and leave no logs.

    Args:
        jobs: How many.
    """
    with tempfile.TemporaryDirectory() as logs:
        pool = Pool(jobs, Path(logs))
        try:
            yield pool
        finally:
            pool.end(_GRACE)


def say_end(worker: Worker) -> str:
    """Say how a process ended that gave no answer."""
    code = worker.process.returncode
    if code is not None and code < 0:
        name = next((it.name for it in signal.Signals if it == -code), f"signal {-code}")
        cause = f"; the system kills what takes too much memory, and {LESS}" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{cause}"
    last = _read_last_line(worker.log)
    return f"its process ended with status {code}{f': {last}' if last else ''}"


def _read_last_line(log: Path) -> str:
    content = log.read_bytes()[-_TAIL:].decode(errors="replace") if log.exists() else ""
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _read(stream, answers: queue.SimpleQueue, heard: threading.Event) -> None:
    """Queue the answers of a process, in a thread, and None when it has ended."""
    with stream:
        for line in stream:
            answers.put(json.loads(line))
            heard.set()
    answers.put(None)
    heard.set()


def _count_bytes(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
