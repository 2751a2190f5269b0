"""The cells of a study as trials of an Optuna study: who works on which, and what came out, for one machine or many.

Optuna keeps the trials in a file that every process on this machine appends to, or in a database that many machines
reach. Of a cell that failed or was lost there are several trials; the last one counts.
"""

import contextlib
import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import optuna
from optuna.exceptions import (
    DuplicatedStudyError,
    StorageInternalError,
    UpdateFinishedTrialError,
)
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from tlmed.errors import RunFailed
from tlmed.run_files.owner_files import (
    BEAT_SECONDS,
    GRACE_SECONDS,
    OWNERS,
    describe_process,
    is_held,
    read_process,
    take_file,
    write_sign,
)
from tlmed.studies.directory import locked
from tlmed.studies.study_database import open_database, say_cause

JOURNAL = "journal.log"
LOST = "lost"  # the reason of a trial whose process ended without a word
STOPPED = "stopped"  # the reason of one that was asked to stop, and goes on later
DOUBLE = "double"  # the reason of a trial that two processes entered at the same moment
_STATES = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "failed",
}


@dataclass(frozen=True)
class Entry:
    """What the ledger says of a cell.

    Attributes:
        cell: Its name.
        state: "waiting", "running", "complete" or "failed".
        reason: Why it failed, or waits again.
        result: What was noted of a complete one.
    """

    cell: str
    state: str
    reason: str = ""
    result: Mapping = field(default_factory=dict)


class Ledger:
    """The cells of one study. Every method may be called by several processes at the same time.

    Args:
        folder: The directory of the study.
        url: A database, as SQLAlchemy names it (`postgresql://user:password@host/name`); None: a file in the folder.
        name: Of the study in a database.

    Raises:
        InputError: If the database cannot be reached, or the address is none.
    """

    def __init__(self, folder: Path, url: str | None, name: str):
        self.folder, self.owner, self.url = folder, f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}", url
        self.process = describe_process(os.getpid())
        self.storage = _open_storage(folder, url)
        self.name, self.study = name, self.open_study(name)
        self._held: dict[int, str] = {}  # the cells of this process, by their trials
        self._unnamed: dict[int, float] = {}  # when a running trial was first seen that names no process
        self._file = take_file(folder, self.owner)
        self.beat()

    def open_study(self, name: str) -> int:
        """Return the number of an Optuna study in the same storage, which is made if it is not there."""
        with self.explained():
            try:
                return self.storage.create_new_study([StudyDirection.MAXIMIZE], name)
            except DuplicatedStudyError:
                return self.storage.get_study_id_from_name(name)

    def close(self) -> None:
        """Give up what this process holds; its running cells count as lost from now on."""
        (self.folder / OWNERS / self.owner).unlink(missing_ok=True)
        self._file.close()
        self.storage.remove_session()
        if isinstance(self.storage, RDBStorage):
            self.storage.engine.dispose()

    @property
    def facts(self) -> dict:
        """Return what was noted of the whole study."""
        with self.explained():
            return self.storage.get_study_user_attrs(self.study)

    def note(self, key: str, value) -> None:
        """Note a fact of the whole study; value is what JSON can hold."""
        with self.explained():
            self.storage.set_study_user_attr(self.study, key, value)

    def enter(self, cells: Sequence[str], again: bool) -> None:
        """Enter cells that are not there yet, and those that were lost.

        Args:
            cells: Their names, in the order in which they should be trained.
            again: Whether cells that failed are entered once more.
        """
        with self.explained():
            last = self._read_last()
            for name in cells:
                trial = last.get(name)
                lost = trial is not None and trial.state == TrialState.FAIL
                if trial is None or (lost and (again or _reason(trial) in (LOST, STOPPED, DOUBLE))):
                    self._add(name, _turn(trial))

    def renew(self, cells: Sequence[str]) -> None:
        """Enter cells once more that are complete, because what came out is gone."""
        with self.explained():
            last = self._read_last()
            for name in cells:
                if name in last and last[name].state == TrialState.COMPLETE:
                    self._add(name, _turn(last[name]) + 1)

    def is_alone(self) -> bool:
        """Tell whether no other process works on the study now."""
        self.find_lost()
        with self.explained():
            return not any(trial.state == TrialState.RUNNING for trial in self._read_last().values())

    def claim(self, accepts: Callable[[str], bool]) -> tuple[int, str] | None:
        """Take a waiting cell that nobody else has, and return the trial's number and the cell's name.

        Args:
            accepts: Tells whether this process would train a cell now.
        """
        with self.explained():
            for trial in self.storage.get_all_trials(self.study, deepcopy=False, states=(TrialState.WAITING,)):
                name = trial.user_attrs.get("cell")
                if name is None or not accepts(name) or not self._take(trial._trial_id, name):
                    continue
                if self._is_double(trial, name):
                    self._end(trial._trial_id, TrialState.FAIL, reason=DOUBLE)
                    continue
                return trial._trial_id, name
        return None

    def finish(self, trial: int, score: float, result: Mapping) -> None:
        """Note that a cell is complete, and what came out."""
        self._settle(trial, TrialState.COMPLETE, [score], result=json.dumps(result))

    def fail(self, trial: int, reason: str) -> None:
        """Note that a cell failed, and why."""
        self._settle(trial, TrialState.FAIL, reason=reason)

    def give_back(self, trial: int, name: str) -> None:
        """Let another process, or a later one, train a cell that this one could not finish."""
        if self._settle(trial, TrialState.FAIL, reason=STOPPED):
            with self.explained():
                self._add(name, _turn(self.storage.get_trial(trial)))

    def beat(self) -> None:
        """Give a sign of life for the cells of this process: in its file, and in a database."""
        write_sign(self._file, self.process, list(self._held.values()))
        if isinstance(self.storage, RDBStorage):
            with self.explained():
                for trial in self._held:
                    self.storage.record_heartbeat(trial)

    def find_lost(self) -> list[str]:
        """Enter the cells of processes that ended without a word once more, and return their names."""
        with self.explained():
            names = []
            for trial in self.storage.get_all_trials(self.study, deepcopy=False, states=(TrialState.RUNNING,)):
                name = trial.user_attrs.get("cell")
                if name is None or not self._is_lost(trial):
                    continue
                with contextlib.suppress(UpdateFinishedTrialError):  # another process was quicker
                    self._end(trial._trial_id, TrialState.FAIL, reason=LOST)
                    self._add(name, _turn(trial))
                    names.append(name)
            return names

    def read(self) -> dict[str, Entry]:
        """Return the entry of every cell by its name."""
        with self.explained():
            last = self._read_last()
        return {name: _to_entry(name, trial) for name, trial in last.items()}

    def _read_last(self) -> dict[str, FrozenTrial]:
        """Return the trial that counts for each cell: of its last turn a complete or running one, else the last."""
        found: dict[str, FrozenTrial] = {}
        for trial in self.storage.get_all_trials(self.study, deepcopy=False):
            name = trial.user_attrs.get("cell")
            held = found.get(name)
            if name is not None and (held is None or _weight(trial) >= _weight(held)):
                found[name] = trial
        return found

    def _add(self, name, turn=0) -> None:
        # What is complete cannot be changed in Optuna: a cell that is trained anew has a further turn.
        facts = {"cell": name, "turn": turn}
        self.storage.create_new_trial(self.study, create_trial(state=TrialState.WAITING, user_attrs=facts))

    def _take(self, trial, name) -> bool:
        try:
            if not self.storage.set_trial_state_values(trial, TrialState.RUNNING):
                return False
            self._held[trial] = name
            self.beat()
            if self.url:  # where a directory is no other's, the file of this process tells others nothing
                self.storage.set_trial_user_attr(trial, "process", asdict(self.process))
            self.storage.set_trial_user_attr(trial, "owner", self.owner)
        except UpdateFinishedTrialError:
            self._held.pop(trial, None)
            return False
        return True

    def _is_double(self, trial, name) -> bool:
        """Tell whether a cell that was entered twice at the same moment is complete, or belongs to the first trial."""
        others = [
            other
            for other in self.storage.get_all_trials(self.study, deepcopy=False)
            if other.user_attrs.get("cell") == name and other.number != trial.number and _turn(other) >= _turn(trial)
        ]
        return any(
            other.state == TrialState.COMPLETE or (other.state == TrialState.RUNNING and other.number < trial.number)
            for other in others
        )

    def _is_lost(self, trial) -> bool:
        owner, number = trial.user_attrs.get("owner"), trial._trial_id
        if owner == self.owner:
            return False
        if owner is None:  # its process ended, or is just about to write its name; clocks of machines may differ
            return time.monotonic() - self._unnamed.setdefault(number, time.monotonic()) > GRACE_SECONDS
        if not self.url:
            return not is_held(self.folder / OWNERS / owner)
        process = read_process(trial.user_attrs.get("process"))
        has_ended = process is not None and process.has_ended
        return has_ended or number in self.storage._get_stale_trial_ids(self.study)

    def _settle(self, trial, state, values=None, **facts) -> bool:
        """End a trial of this process; tell whether it was still its own: a machine that slept may have lost it."""
        try:
            self._end(trial, state, values, **facts)
        except UpdateFinishedTrialError:
            return False
        return True

    def _end(self, trial, state, values=None, **facts) -> None:
        if self._held.pop(trial, None):
            write_sign(self._file, self.process, list(self._held.values()))
        with self.explained():
            for key, value in facts.items():
                self.storage.set_trial_user_attr(trial, key, value)
            self.storage.set_trial_state_values(trial, state, values)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Say what is wrong where the storage fails inside the block."""
        try:
            yield
        except (StorageInternalError, SQLAlchemyError) as error:
            raise RunFailed(
                f"The storage of the study must stay within reach; the same command goes on. Received: "
                f"{say_cause(error)}."
            ) from error


class _Flock:
    """Lock Optuna's file by the system, which lets go when a process is killed; Optuna's own locks wait 30 s then.

    Optuna calls `acquire` and `release`, as of the locks that come with it.
    """

    def __init__(self, file: Path):
        self.file, self.held = file, None

    def acquire(self) -> bool:
        self.held = self.file.open("a")
        fcntl.flock(self.held, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        self.held.close()


def _open_storage(folder: Path, url: str | None) -> BaseStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        file = folder / JOURNAL
        _mend(file)
        return JournalStorage(JournalFileBackend(str(file), _Flock(folder / f"{JOURNAL}.lock")))
    return open_database(url, BEAT_SECONDS, GRACE_SECONDS)


def _mend(file: Path) -> None:
    """Cut off the half of a line that a killed process has left at the end of Optuna's file."""
    if not file.exists():
        return
    with locked(file.with_name(f"{file.name}.lock")), file.open("r+b") as stream:
        content = stream.read()
        if content and not content.endswith(b"\n"):
            stream.truncate(content.rfind(b"\n") + 1)


def _weight(trial) -> tuple[int, bool, bool, int]:
    return _turn(trial), trial.state == TrialState.COMPLETE, trial.state == TrialState.RUNNING, trial.number


def _turn(trial) -> int:
    """Return how often a cell was complete before this trial, and then lost what came out; 0 for no trial."""
    return trial.user_attrs.get("turn", 0) if trial is not None else 0


def _reason(trial) -> str:
    return trial.user_attrs.get("reason", "")


def _to_entry(name, trial) -> Entry:
    facts = trial.user_attrs
    state, reason = _STATES[trial.state], _reason(trial)
    if reason in (LOST, STOPPED, DOUBLE):  # it is entered once more
        state = "waiting"
    return Entry(name, state, reason, json.loads(facts.get("result", "{}")))
