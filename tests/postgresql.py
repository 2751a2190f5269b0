"""A PostgreSQL server of this machine, for tests of what several machines share."""

import contextlib
import getpass
import glob
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest


@contextlib.contextmanager
def serve():
    """Run a server for the block, and give the address of its database; tests are skipped where there is none."""
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


def find(program):
    """Return where a program of PostgreSQL is; None if it is not installed."""
    places = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"))
    return shutil.which(program) or (places[-1] if places else None)
