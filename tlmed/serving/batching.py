"""Batches of what arrives together: one thread computes, and whoever comes while it is busy waits in a short queue."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

GATHER = 0.003  # seconds that the first of a batch waits for others; a single image is answered that much later


class Full(Exception):
    """More is waiting than may wait."""


class Stopped(Exception):
    """Nothing is computed any more."""


@dataclass(frozen=True, eq=False)
class _Job:
    item: object
    size: int
    done: Future = field(default_factory=Future)


class Batcher:
    """Compute items in batches, in one thread.

    Args:
        compute: Items to their results, in the same order.
        most: How many images a batch has; an item with more is a batch of its own.
        waiting: How many items may wait.
        observe: Is told the number of images of each batch.
    """

    def __init__(
        self,
        compute: Callable[[Sequence], Sequence],
        most: int,
        waiting: int,
        observe: Callable[[int], None] = lambda images: None,
    ):
        self._compute, self._most, self._observe = compute, most, observe
        self._queue: queue.Queue[_Job | None] = queue.Queue(waiting)
        self._left: _Job | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Return how many items wait."""
        return self._queue.qsize()

    def submit(self, item: object, size: int = 1) -> Future:
        """Return what will hold the result of an item; one that is cancelled before its turn is not computed.

        Args:
            item: As `compute` takes it.
            size: How many images it has.

        Raises:
            Full: Too many wait already.
            Stopped: The batcher was stopped.
        """
        job = _Job(item, size)
        if self._stopping.is_set():
            raise Stopped
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            raise Full from None
        return job.done

    def stop(self) -> None:
        """Compute what waits, and end."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (jobs := self._gather()) is not None:
            jobs = [job for job in jobs if job.done.set_running_or_notify_cancel()]
            if jobs:
                self._observe(sum(job.size for job in jobs))
                self._answer(jobs)
            del jobs  # while nothing arrives, the pixels of the last batch need no memory

    def _gather(self) -> list[_Job] | None:
        """Return the jobs of the next batch; None at the end."""
        first = self._left or self._queue.get()
        self._left = None
        if first is None:
            return None
        jobs, images, until = [first], first.size, time.monotonic() + GATHER
        while images < self._most:
            try:
                job = self._queue.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)  # the end comes after this batch
                break
            if images + job.size > self._most:
                self._left = job
                break
            jobs.append(job)
            images += job.size
        return jobs

    def _answer(self, jobs: Sequence[_Job]) -> None:
        try:
            found = self._compute([job.item for job in jobs])
        except Exception as error:  # whatever it is, it is the answer, and the thread goes on
            if len(jobs) == 1:
                jobs[0].done.set_exception(error)
                return
            for job in jobs:  # one image may be at fault: the others are answered
                self._answer([job])
            return
        for job, result in zip(jobs, found, strict=True):
            job.done.set_result(result)
