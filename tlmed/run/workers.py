"""The processes that train a run together: the first, the chief, decides and writes, and the others follow it."""

import contextlib
import importlib.metadata
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from tlmed.cluster import SECRET, Link, end_process, find_cluster, join
from tlmed.errors import InputError, RunFailed
from tlmed.rundir import FILES, WORKER, RunDir

COMPARED = ("tlmed", "tensorflow", "keras", "numpy", "openvino")  # other versions may compute other gradients
WAIT = "TLMED_WORKERS_TIMEOUT"
DEFAULT_WAIT = "600"


@dataclass(frozen=True)
class Workers:
    """The processes of a run.

    Attributes:
        link: The connection between them; None for a single process.
        run: Where this process writes: the chief to the run directory, others to one that is deleted at the end.
    """

    run: RunDir
    link: Link | None = None

    @property
    def is_chief(self) -> bool:
        """Tell whether this process decides and writes."""
        return self.link is None or self.link.cluster.is_chief

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the addresses of the processes; none for a single process."""
        return self.link.cluster.workers if self.link is not None else ()

    def decide(self, question: Callable[[], bool]) -> bool:
        """Return the chief's answer to a question: only it sees the run directory."""
        if self.link is None:
            return question()
        return self.link.share(bytes([question()]) if self.is_chief else None) == b"\1"

    def compare(self, what: str, facts: dict[str, str]) -> None:
        """Refuse to go on where the processes differ.

        Raises:
            InputError: In all of them, with what differs.
        """
        if self.link is not None:
            self.link.compare(what, facts)

    def follow(self) -> None:
        """Copy the small files of the chief's run directory to every process, so that all go on from the same state."""
        if self.link is None:
            return
        content = self.link.share(_pack(self.run) if self.is_chief else None)
        if not self.is_chief:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(self.run.path)

    def wait(self) -> None:
        """Wait for the others."""
        if self.link is not None:
            self.link.barrier()


def _pack(run) -> bytes:
    """Return a ZIP archive of a run's small files and of what it goes on from."""
    content = io.BytesIO()
    names = [name for name in FILES if name.endswith((".json", ".csv"))]
    files = [run / name for name in names if (run / name).exists()]
    files += [path for path in run.progress.rglob("*") if path.is_file() and path != run.guard]
    with zipfile.ZipFile(content, "w") as archive:
        for file in files:
            archive.write(file, file.relative_to(run.path))
    return content.getvalue()


@contextlib.contextmanager
def working_together(fields: dict[str, str], out: Path, warn: Callable[[str], None]) -> Iterator[Workers]:
    """Find the processes that the environment names, and wait until all are there and train the same run.

    Args:
        fields: The recipe's fields, which must be the same in all processes.
        out: The run directory.
        warn: Takes a line that a user should know.

    Raises:
        InputError: If the environment cannot be used, or the processes differ.
        RunFailed: If one does not come, or is lost.
    """
    cluster = find_cluster(os.environ)
    if cluster is None:
        yield Workers(RunDir(out))
        return
    os.environ["TF_CONFIG"] = cluster.tf_config()  # TensorFlow's own strategy reads it; Slurm sets other variables
    with contextlib.ExitStack() as stack:
        run = RunDir(out)
        if not cluster.is_chief:
            run = RunDir(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=WORKER))))

        # Called by the thread that notices a lost process: `end_process` leaves no chance to clean up after it.
        def end(message: str) -> None:
            with contextlib.suppress(OSError):
                if not cluster.is_chief:
                    shutil.rmtree(run.path)
                elif run.marker.exists():
                    run.mark(message)
            end_process(message)

        secret = os.environ.get(SECRET, "")
        if cluster.is_chief and not secret and not cluster.is_local:
            warn(f"{SECRET} is not set: whoever reaches {cluster.address} can take a worker's place in this run.")
        facts = {**fields, **_versions()}
        link = stack.enter_context(join(cluster, facts, _timeout(), end, secret=secret, warn=warn))
        try:
            yield Workers(run, link)
        except tf.errors.OpError as error:
            if cause := link.cause():  # TensorFlow may notice a lost worker first, but its message is harder to read
                raise RunFailed(cause) from error
            raise


def _versions() -> dict[str, str]:
    found = {}
    for name in COMPARED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _timeout() -> float:
    text = os.environ.get(WAIT, DEFAULT_WAIT)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InputError(f"`{WAIT}` must be the seconds to wait for other workers, above 0. Received: {text!r}.")
    return seconds
