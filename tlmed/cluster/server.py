"""TensorFlow's own server between the workers: its start can be interrupted, and other machines cannot reach it.

Every worker runs one, at its address in TF_CONFIG. It asks for no password, and anyone who reaches it can run
TensorFlow operations as the worker, which read and write files (TensorFlow's SECURITY.md).
"""

import tlmed.tensorflow_start

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended
from tensorflow.python.eager import context

from tlmed.cluster.addresses import VARIABLE, read_tf_config, split_address

POLL_SECONDS = 0.05
LOOPBACK = b"lo\0"  # the interface, on Linux


def start_server(warn: Callable[[str], None] = lambda line: None) -> tf.distribute.Strategy:
    """Return the strategy of the workers that TF_CONFIG names, once all of them are there.

    The wait runs in another thread, so that Ctrl-C and SIGTERM end it, and the link to the other workers stays watched.
    Two parts of TensorFlow are switched off, because the link does their work. The coordination service holds Python's
    lock while it waits: if a worker was lost at that moment, signals and the link's threads froze forever. It also
    takes SIGTERM for itself. The health check holds the lock for half a minute if a worker does not answer.

    If all workers are on this machine, the server takes calls over the loopback interface only.

    Args:
        warn: Takes a line if other machines can reach the server of such a worker.
    """
    context.context().configure_coordination_service(service_type="")
    CollectiveAllReduceExtended._enable_check_health = False
    cluster = read_tf_config(os.environ[VARIABLE])
    port = split_address(cluster.address)[1]
    made, failed = [], []

    def make() -> None:
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
            strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("SUM", tf.zeros(1)))  # waits for all
            made.append(strategy)
        except Exception as error:  # raised below, in the thread that asked
            failed.append(error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    open_to_all = cluster.is_local
    waiting = True
    while waiting:
        thread.join(POLL_SECONDS)
        waiting = thread.is_alive()
        if open_to_all and any(True for _ in _listeners(port)):
            _confine(port, warn)
            open_to_all = False
    if failed:
        raise failed[0]
    return made[0]


def _confine(port: int, warn) -> None:
    """Let the listening sockets of this process take calls of this machine only.

    TensorFlow binds its server to all interfaces and has no option for it. A socket that is tied to an interface
    afterwards takes no call that comes in by another one.
    """
    for listener in _listeners(port):
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, LOOPBACK)
        except (AttributeError, OSError) as error:  # not Linux, or Linux before 5.7 and not root
            warn(
                f"TensorFlow's port {port} is open to other machines, as it cannot be tied to the loopback interface "
                f"here ({error}). Whoever reaches it can read and write files as you: close it by a firewall."
            )


def _listeners(port: int) -> Iterator[socket.socket]:
    """Yield the sockets at which this process listens at a port; each is closed when the next is asked for."""
    folder = Path("/proc/self/fd")
    for entry in folder.iterdir() if folder.exists() else ():
        with contextlib.suppress(OSError):  # closed since, or no socket
            if not os.readlink(entry).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and copy.getsockname()[1:2] == (port,):
                    yield copy
