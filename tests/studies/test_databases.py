"""Studies whose cells several machines share by a database: three processes, of which one is killed."""

import getpass
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.studies.test_sweeping import states
from tlmed.errors import InputError
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


def find(program):
    places = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"))
    return shutil.which(program) or (places[-1] if places else None)


@pytest.fixture(scope="module")
def database():
    """Give the address of a PostgreSQL database of this machine."""
    pytest.importorskip("psycopg")
    if find("initdb") is None or (getpass.getuser() == "root" and shutil.which("runuser") is None):
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp())  # pytest lets nobody else into its folders
    as_user = []
    if getpass.getuser() == "root":  # as which PostgreSQL does not run
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    control = [*as_user, find("pg_ctl"), "-D", str(folder / "data"), "-w"]
    initial = [*as_user, find("initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "tlmed"]
    subprocess.run(initial, check=True, stdout=subprocess.DEVNULL)
    start = [*control, "-l", str(folder / "log"), "-o", server, "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    yield f"postgresql://tlmed@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder)


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
