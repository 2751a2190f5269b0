"""TensorFlow's server between workers: a wait for the others can be ended, and other machines are kept out."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.processes import until
from tlmed.cluster import Cluster
from tlmed.launch import free_addresses

CHIEF = """
import os, socket, sys, threading
from tlmed.quiet import import_tensorflow
import_tensorflow()
from tlmed import stopping
from tlmed.cluster import find_cluster, join
from tlmed.cluster.server import _listeners, start_server
from tlmed.errors import TlmedError

stopping.listen()
cluster = find_cluster(os.environ)
try:
    with join(cluster, {}, 60):
        print("joined", flush=True)
        start_server(print)
        # TensorFlow's own check holds Python's lock for half a minute where a worker does not answer.
        assert not [it.name for it in threading.enumerate() if "check_health" in it.name]
        port = int(cluster.address.split(":")[1])
        tied = [it.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) for it in _listeners(port)]
        print("made", tied, flush=True)
except TlmedError as error:
    print(error, flush=True)
    sys.exit(error.exit_status)
"""
WORKER = """
import sys, threading
from tlmed.cluster import Cluster, join
link = join(Cluster(tuple(sys.argv[1:]), 1), {}, 60)
threading.Event().wait()
"""


def start(code, *arguments, **environment):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env={**os.environ, **environment}, **pipes)


@pytest.fixture
def waiting():
    """Give a chief that makes its strategy, and a worker that has joined and makes none."""
    addresses = tuple(free_addresses(2))
    chief = start(CHIEF, TF_CONFIG=Cluster(addresses, 0).tf_config())
    worker = start(WORKER, *addresses)
    try:
        assert chief.stdout.readline() == "joined\n"
        yield chief, worker, addresses
    finally:
        for process in (chief, worker):
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_a_worker_that_is_lost_while_tensorflow_waits_for_it_ends_the_chief(waiting):
    chief, worker, addresses = waiting
    worker.kill()
    said, _ = chief.communicate(timeout=20)
    assert chief.returncode == 3
    assert f"Received: worker 1 ({addresses[1]}) was lost." in said


def is_listening(port):
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except ConnectionRefusedError:
        return False


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
@pytest.mark.slow
def test_a_request_to_stop_ends_the_wait_for_other_workers(waiting, number, status):
    chief, worker, _ = waiting
    port = int(waiting[2][0].split(":")[1])
    until(lambda: is_listening(port))
    worker.send_signal(signal.SIGSTOP)  # it says nothing any more, and is not lost for half a minute
    chief.send_signal(number)
    said, _ = chief.communicate(timeout=15)
    assert (chief.returncode, "Stopped by" in said) == (status, True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a socket to an interface")
def test_the_server_takes_calls_of_this_machine_only():
    addresses = tuple(free_addresses(2))
    workers = [start(CHIEF, TF_CONFIG=Cluster(addresses, i).tf_config()) for i in (0, 1)]
    for worker in workers:
        said, _ = worker.communicate(timeout=120)
        assert said.splitlines()[1] == "made [b'lo\\x00']", said
