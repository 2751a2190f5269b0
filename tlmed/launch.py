"""Start the processes of a run on this machine, show their output, and make sure that they end together."""

import contextlib
import os
import queue
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from tlmed.cluster import gpus
from tlmed.cluster.addresses import SECRET, VARIABLE, Cluster
from tlmed.errors import InputError, Interrupted, RunFailed, Terminated

# -P: as with the command itself, the folder that it is called in is not searched for modules.
TLMED = (sys.executable, "-P", "-c", "from tlmed.cli import main; main()")
PORTS = range(10_000, 32_768)  # below those that systems give to outgoing connections
POLL_SECONDS = 0.05
PIPE_SECONDS = 5.0  # for the last lines, if children of a process that has ended hold its output open
STOPPED = {signal.SIGINT: Interrupted.exit_status, signal.SIGTERM: Terminated.exit_status}

# Each process begins with this: it asks Linux to kill it when the launcher has ended, even by SIGKILL, and then becomes
# the program. If the launcher has ended already, the process ends, too. `preexec_fn` would ask between fork and
# exec, where a launcher with threads can hang.
_LEASH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def _say(line):
    print(line, flush=True)


def _warn(line):
    print(line, file=sys.stderr, flush=True)


def launch(
    workers: int,
    command: Sequence[str],
    say: Callable[[str], None] = _say,
    warn: Callable[[str], None] = _warn,
    program: Sequence[str] = TLMED,
    wait: float = 10.0,
    grace: float = 30.0,
) -> int:
    """Run a command in several processes that know each other by TF_CONFIG, and return the exit status.

    Call it from the main thread: SIGINT and SIGTERM are passed on to all processes, and a second SIGINT kills them.
    Each process gets its share of the GPUs. The number of TensorFlow's threads is not changed, because results depend
    on it.

    Args:
        workers: The number of processes.
        command: The arguments of the program.
        say: Takes each line that a process prints, with its index: "[0] ...".
        warn: Takes each line of a process's standard error, likewise, and why one was killed.
        program: What each process runs.
        wait: Seconds that the others have to end by themselves when one has failed.
        grace: Seconds that they then have after SIGTERM, until SIGKILL.

    Returns:
        The exit status of the first that failed, or 0.

    Raises:
        InputError: If `workers` is below 1, or above the number of GPUs where there are any.
    """
    environments = _environments(workers)
    heard: queue.SimpleQueue[int | Callable[[], None]] = queue.SimpleQueue()  # signals, and calls that show a line
    processes: list[subprocess.Popen] = []
    readers: list[threading.Thread] = []
    with _signals_into(heard):
        try:
            for i, environment in enumerate(environments):
                process = start_leashed([*program, *command], environment, subprocess.DEVNULL, subprocess.PIPE)
                processes.append(process)
                readers.append(_read_lines(process.stdout, f"[{i}] ", say, heard))
                readers.append(_read_lines(process.stderr, f"[{i}] ", warn, heard))
            status = _attend(processes, heard, warn, wait, grace)
            _show_rest(readers, heard)
        finally:
            _end(processes, grace)
    return status


def free_addresses(count: int) -> list[str]:
    """Return addresses of this machine at which nobody listens."""
    with contextlib.ExitStack() as held:  # all at once, so that they differ
        addresses = []
        # No seed, so that launches at the same time rarely try the same ports.
        for port in random.SystemRandom().sample(PORTS, len(PORTS)):
            if len(addresses) == count:
                break
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("", port)))
                addresses.append(f"127.0.0.1:{port}")
    return addresses


def _environments(workers: int) -> list[Mapping[str, str]]:
    """Return the environment of each process."""
    if workers < 1:
        raise InputError(f"`--workers` must be 1 or more. Received: --workers={workers}.")
    visible = gpus.visible_gpus(os.environ)
    if 0 < len(visible) < workers:
        raise InputError(
            f"`--workers` must be at most the number of GPUs, or {gpus.VARIABLE}= must hide them. "
            f"Received: --workers={workers}, {len(visible)} visible."
        )
    addresses = tuple(free_addresses(workers))
    environments, secret = [], secrets.token_hex(32)
    for i in range(workers):
        # Unbuffered, so that lines are shown when they are printed.
        own = {"PYTHONUNBUFFERED": "1", VARIABLE: Cluster(addresses, i).tf_config(), SECRET: secret}
        if visible:
            own[gpus.VARIABLE] = ",".join(gpus.share_of(visible, workers, i))
        environments.append({**os.environ, **own})
    return environments


@contextlib.contextmanager
def _signals_into(heard: queue.SimpleQueue) -> Iterator[None]:
    """Queue SIGINT and SIGTERM instead of acting on them at once."""
    before = {number: signal.signal(number, lambda number, frame: heard.put(number)) for number in STOPPED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_leashed(command: Sequence[str], environment: Mapping[str, str], stdin, stderr) -> subprocess.Popen:
    """Start a process in a session of its own that the system kills when the thread that started it has ended.

    In a session of its own, Ctrl-C reaches this process alone, which passes it on.

    Args:
        command: The program and its arguments.
        environment: Its environment.
        stdin: As for `subprocess.Popen`.
        stderr: Likewise; standard output is a pipe.
    """
    # -I -S: it needs no packages, and starts faster without them.
    leash = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid())]
    pipes = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": stderr}
    return subprocess.Popen([*leash, *command], env=environment, start_new_session=True, **pipes)


def _read_lines(stream, prefix: str, take: Callable[[str], None], heard: queue.SimpleQueue) -> threading.Thread:
    """Queue the lines of a stream, in a thread."""

    def read():
        with stream:
            for line in stream:
                heard.put(partial(take, prefix + line.decode(errors="replace").rstrip("\r\n")))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _attend(processes, heard, warn, wait, grace) -> int:
    """Show lines and pass on signals until all processes have ended; return the status of the first that failed."""
    running = dict(enumerate(processes))
    sent: set[int] = set()
    plan: list[tuple[float, int]] = []  # when to send which signal
    status = 0

    def send(number):
        sent.add(number)
        for process in running.values():
            _signal(process, number)

    while running:
        with contextlib.suppress(queue.Empty):
            item = heard.get(timeout=POLL_SECONDS)
            if callable(item):
                item()
            else:
                send(signal.SIGKILL if item == signal.SIGINT and item in sent else item)
        for i, code in [(i, process.poll()) for i, process in running.items()]:
            if code is None:
                continue
            del running[i]
            if code < 0 and -code not in sent:
                warn(f"Error: worker {i} was killed by {_signal_name(-code)}.")
            if code and not status:
                status = _status(code, sent)
                now = time.monotonic()
                plan = [(now + wait + grace, signal.SIGKILL)]
                if not sent:  # processes that have been told to stop are left to do so
                    plan.insert(0, (now + wait, signal.SIGTERM))
        if plan and time.monotonic() > plan[0][0]:
            send(plan.pop(0)[1])
    return status


def _status(code: int, sent: set[int]) -> int:
    """Return the exit status that a process's end stands for.

    >>> _status(2, set()), _status(-9, set()), _status(-15, {15}), _status(-9, {2, 9})
    (2, 3, 75, 130)
    """
    if code > 0:
        return code
    return STOPPED.get(-code, Interrupted.exit_status) if -code in sent else RunFailed.exit_status


def _signal_name(number: int) -> str:
    return next((it.name for it in signal.Signals if it == number), f"signal {number}")


def _signal(process, number):
    """Send a signal to a process; SIGKILL also goes to its children, which would not end otherwise."""
    if number == signal.SIGKILL and process.poll() is None:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a stopped process gets the signal only after this one


def _show_rest(readers, heard):
    deadline = time.monotonic() + PIPE_SECONDS
    for thread in readers:
        thread.join(max(0.0, deadline - time.monotonic()))
    while not heard.empty():
        item = heard.get()
        if callable(item):
            item()


def _end(processes, grace):
    """End all processes that still run if the launcher itself failed, for example because its output was closed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            _signal(process, number)
        deadline = time.monotonic() + grace
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
