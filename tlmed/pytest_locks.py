"""A pytest plugin: `pytest --tlmed-locks locks/` runs `tlmed reproduce` on each lock, as one test each.

Without that option it does nothing. It is imported by every pytest of an environment that tlmed is installed in,
therefore it imports nothing but pytest here.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

SUFFIX = ".json"
ENDINGS = {
    1: "not the same",
    2: "error: what was given cannot be used",
    3: "error: it could not finish",
    75: "error: it was stopped by SIGTERM",
    130: "error: it was stopped by Ctrl-C",
}
POLL_SECONDS = 0.2
GRACE_SECONDS = 5.0  # pytest-xdist gives a worker ten seconds to end


def pytest_addoption(parser):
    """Add the options."""
    group = parser.getgroup("tlmed", "tlmed: the same numbers again")
    add = group.addoption
    add("--tlmed-locks", action="append", default=[], metavar="PATH", help="A lock, or a folder of them: test each.")
    add("--tlmed-level", choices=("bits", "predictions", "metrics"), help="What must be the same.")
    add("--tlmed-check", action="store_true", help="Pass --check on to `tlmed reproduce`.")
    add("--tlmed-quick", action="store_true", help="Pass --quick on to `tlmed reproduce`.")
    add("--tlmed-data", metavar="SOURCE", help="Where the images are, if not where a lock says.")


def pytest_configure(config):
    """Find the locks, where they were asked for."""
    if given := config.getoption("tlmed_locks"):
        found = [lock for path in given for lock in find_locks(config.invocation_params.dir, path)]
        config.pluginmanager.register(LockTests(tuple(dict.fromkeys(found)), _arguments(config)), "tlmed_lock_tests")


def find_locks(folder: str | os.PathLike, path: str) -> list[Path]:
    """Return the lock at a path, or the locks in the folder that is there, sorted by name.

    Args:
        folder: What a relative path begins at.
        path: A file, or a folder with files that end in .json.

    Raises:
        pytest.UsageError: If there is none.
    """
    # Not resolved: pytest leaves symbolic links in paths, and tells files apart by path.
    place = Path(os.path.abspath(os.path.join(folder, path)))
    # Sorted: under pytest-xdist every worker must find the same tests in the same order.
    found = sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place]
    if not found or not all(lock.is_file() for lock in found):
        raise pytest.UsageError(
            f"`--tlmed-locks` must be a lock, or a folder with locks (*{SUFFIX}). Received: --tlmed-locks={path}."
        )
    return found


def _arguments(config) -> tuple[str, ...]:
    """Return the options of `tlmed reproduce`."""
    values = {f"--{name}": config.getoption(f"tlmed_{name}") for name in ("level", "data")}
    flags = [f"--{name}" for name in ("check", "quick") if config.getoption(f"tlmed_{name}")]
    return (*(word for pair in values.items() if pair[1] is not None for word in pair), *flags)


@dataclass(frozen=True)
class LockTests:
    """Collect the locks, beside what pytest collects otherwise.

    Attributes:
        locks: Their paths.
        arguments: Options of `tlmed reproduce`.
    """

    locks: tuple[Path, ...]
    arguments: tuple[str, ...]

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector):
        """Add the locks after what the session collects.

        They are not added to pytest's arguments, which would replace `testpaths`, be ignored in folders of
        `norecursedirs`, and be taken for test ids where a name has a bracket.
        """
        report = yield
        if isinstance(collector, pytest.Session) and not any(collector.isinitpath(lock) for lock in self.locks):
            report.result = [*report.result, *(self._file(collector, lock) for lock in self.locks)]
        return report

    def pytest_collect_file(self, file_path, parent):
        """Collect a lock that is among the arguments: `pytest --tlmed-locks locks locks/a.json` runs that one only."""
        if file_path in self.locks and parent.session.isinitpath(file_path):
            return self._file(parent, file_path)
        return None

    def _file(self, parent, lock):
        name = os.path.relpath(lock, parent.config.rootpath)  # tells locks apart that lie outside, too
        return LockFile.from_parent(parent, path=lock, name=name, arguments=self.arguments)


class LockFile(pytest.File):
    """Hold the one test of a lock."""

    def __init__(self, *, arguments, **options):
        super().__init__(**options)
        self.arguments = arguments

    def collect(self):
        """Return the test, which has the lock's file name."""
        return [LockTest.from_parent(self, name=self.path.name, arguments=self.arguments)]


class LockTest(pytest.Item):
    """Run `tlmed reproduce` on a lock."""

    def __init__(self, *, arguments, **options):
        super().__init__(**options)
        self.arguments = arguments

    def runtest(self):
        """Fail with the table and the error where the exit status is not 0."""
        lock = os.path.relpath(self.path, self.config.invocation_params.dir)
        status, said = _reproduce([lock, *self.arguments], self.config.invocation_params.dir)
        if status:
            pytest.fail(f"{_ending(status)} (exit status {status})\n\n{said}", pytrace=False)
        self.add_report_section("call", "tlmed reproduce", said)

    def reportinfo(self):
        """Return what heads a failure."""
        return self.path, None, f"tlmed reproduce {self.name}"


def _ending(status: int) -> str:
    """Return what an exit status says.

    >>> _ending(1), _ending(-9), _ending(4)
    ('not the same', 'error: it was killed by SIGKILL', 'error: it failed')
    """
    if status < 0:
        return f"error: it was killed by {signal.Signals(-status).name}"
    return ENDINGS.get(status, "error: it failed")


def _reproduce(words: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run `tlmed reproduce` and return its exit status and what it said.

    In a process of its own, as threads and deterministic operations are set once for a process.
    """
    from tlmed.launch import TLMED

    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*TLMED, "reproduce", *words]
    # In a session of its own, so that it is told to end by this process alone, with all that it has started.
    process = subprocess.Popen(command, cwd=folder, encoding="utf-8", errors="replace", start_new_session=True, **pipes)
    with _ended(process):
        while True:
            # Not one long wait: it would not notice when pytest-xdist interrupts a worker from another thread.
            with contextlib.suppress(subprocess.TimeoutExpired):
                out, err = process.communicate(timeout=POLL_SECONDS)
                return process.returncode, f"{out}{err}"


@contextlib.contextmanager
def _ended(process: subprocess.Popen) -> Iterator[None]:
    """See to it that a process has ended when the block is left, by Ctrl-C perhaps."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=GRACE_SECONDS)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
