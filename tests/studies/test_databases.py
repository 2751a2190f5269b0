"""Studies whose cells several machines share by a database: three processes, of which one is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.storages._rdb.models import BaseModel

from tests.postgresql import serve
from tests.studies.test_sweeping import states
from tlmed.errors import InputError
from tlmed.studies import study_database
from tlmed.studies.ledger import Ledger

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.studies.conftest import program, small
from tlmed.screen import Screen
from tlmed.studies import Order, ledger, run_cells, sweeping, worker_pool
worker_pool.PROGRAM = program(0.6)
ledger.BEAT_SECONDS, ledger.GRACE_SECONDS, sweeping.BEAT_SECONDS = 1, 3, 1
order = Order(Path(sys.argv[1]), jobs=1, storage=sys.argv[2])
run_cells(small(seeds=4).expand("images"), order, Screen(sys.stdout, waits=False))
"""


@pytest.fixture(scope="module")
def database():
    """Give the address of a PostgreSQL database of this machine."""
    with serve() as address:
        yield address


OPEN = """
import sys
from pathlib import Path
from tlmed.errors import TlmedError
from tlmed.studies.ledger import Ledger
print("ready", flush=True)
for line in sys.stdin:
    try:
        ledger = Ledger(Path("."), line.strip(), "x")
        ledger.enter(["a", "b"], again=False)
        ledger.close()
        print("made", flush=True)
    except TlmedError as error:
        print(error, flush=True)
"""


@pytest.mark.slow
def test_two_processes_that_make_a_database_at_the_same_moment_both_work_with_it(tmp_path):
    command = [sys.executable, "-c", OPEN]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        for _ in range(2)
    ]
    try:
        assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
        for number in range(20):
            for process in both:
                process.stdin.write(f"sqlite:///{tmp_path}/{number}.db\n")
                process.stdin.flush()
            assert [process.stdout.readline() for process in both] == ["made\n"] * 2
    finally:
        for process in both:
            process.communicate()


def test_tables_that_another_process_made_first_are_used(tmp_path, monkeypatch):
    """SQLite and MySQL say so by the error that they give for an address that is wrong, too."""
    url, waited = f"sqlite:///{tmp_path}/study.db", []
    monkeypatch.setattr(study_database.time, "sleep", waited.append)
    make = BaseModel.metadata.create_all

    def be_late(engine):
        make(engine)
        monkeypatch.setattr(BaseModel.metadata, "create_all", make)
        make(engine, checkfirst=False)

    monkeypatch.setattr(BaseModel.metadata, "create_all", be_late)
    opened = Ledger(tmp_path, url, "x")
    opened.enter(["a"], again=False)
    assert opened.read()["a"].state == "waiting"
    assert len(waited) == 1
    opened.close()
    with pytest.raises(InputError, match="unable to open database file"):
        Ledger(tmp_path, f"sqlite:///{tmp_path}/nowhere/study.db", "x")
    assert len(waited) == 1  # an address that is wrong is told at once


@pytest.mark.slow
def test_three_processes_share_a_study_and_take_over_what_one_had_when_it_was_killed(database, tmp_path):
    def start(name):
        command = [
            sys.executable,
            "-c",
            SCRIPT.format(root=str(Path(__file__).parents[2])),
            str(tmp_path / name / "study"),
        ]
        (tmp_path / name).mkdir()
        return subprocess.Popen(
            [*command, database], start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    processes = [start(name) for name in ("one", "two", "three")]
    lines = iter(processes[0].stdout.readline, b"")
    assert any(b"auc" in line for line in lines)
    time.sleep(0.15)  # it has begun its next cell, which takes twice as long
    ledger = Ledger(tmp_path, database, "tlmed study")
    os.killpg(processes[0].pid, signal.SIGKILL)
    said = [process.communicate()[0].decode() for process in processes]
    assert [process.returncode for process in processes[1:]] == [0, 0], "\n".join(said)
    assert [entry.state for entry in ledger.read().values()] == ["complete"] * 16
    assert "taken over from a process that has ended" in said[1] + said[2]
    for name in ("two", "three"):
        assert states(tmp_path / name / "study") == ["complete"] * 16
    ledger.close()


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match=r"can be reached, as postgresql://") as found:
        Ledger(tmp_path, "postgresql://ann:secret@127.0.0.1:1/lab", "study")
    assert "ann:...@127.0.0.1:1/lab" in str(found.value)
    assert "secret" not in str(found.value)
    with pytest.raises(InputError, match="Could not parse"):
        Ledger(tmp_path, "nonsense", "study")
