"""Processes of a run find each other, agree, share, and end together; whatever is wrong is said in one message."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from tlmed.cluster import Cluster, Link, find_cluster, join
from tlmed.cluster import joining as joining_module
from tlmed.cluster import link as link_module
from tlmed.cluster.addresses import read_tf_config, split_address
from tlmed.cluster.frames import CHUNK, LIMITS, FrameError, Kind, pack_frame, receive_exactly, receive_frame
from tlmed.cluster.joining import CHALLENGE, MAGIC, MOST_STRANGERS, prove
from tlmed.errors import InputError, RunFailed
from tlmed.launch import free_addresses

TWO = {"worker": ["a:1", "b:2"]}
FIRST = {"type": "worker", "index": 0}


def tf_config(cluster=TWO, task=FIRST):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


# --- Who they are ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cluster", "task", "found"),
    [
        (TWO, FIRST, Cluster(("a:1", "b:2"), 0)),
        (TWO, {"type": "worker", "index": "1"}, Cluster(("a:1", "b:2"), 1)),
        ({"worker": ["b:2"], "chief": ["a:1"]}, {"type": "chief", "index": 0}, Cluster(("a:1", "b:2"), 0)),
        ({**TWO, "chief": ["c:3"]}, {"type": "worker", "index": 1}, Cluster(("c:3", "a:1", "b:2"), 2)),
        ({"worker": ["[::1]:1", "[fe80::2]:1"]}, FIRST, Cluster(("[::1]:1", "[fe80::2]:1"), 0)),
        ({"worker": ["a:1"]}, FIRST, None),
        ({"chief": ["a:1"]}, {"type": "chief", "index": 0}, None),
    ],
)
def test_tf_config_names_the_processes_the_chief_first(cluster, task, found):
    assert find_cluster(tf_config(cluster, task)) == found


def test_tf_config_can_be_written_and_read_again():
    cluster = Cluster(("a:1", "b:2", "c:3"), 2)
    assert read_tf_config(cluster.tf_config()) == cluster


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": ""}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}])
def test_a_process_by_itself_has_no_cluster(environment):
    assert find_cluster(environment) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", ["must be JSON. Received: '{'"]),
        ("[1]", ["must be an object"]),
        ("{}", ['must have a "cluster" such as', "cluster=None"]),
        ('{"cluster": {}}', ["cluster={}"]),
        ('{"cluster": ["a:1"], "task": {}}', ["cluster=['a:1']"]),
    ],
)
def test_what_is_no_tf_config_is_refused(text, said):
    with pytest.raises(InputError) as error:
        find_cluster({"TF_CONFIG": text})
    assert all(part in str(error.value) for part in ["`TF_CONFIG` must", *said])


@pytest.mark.parametrize(
    ("cluster", "task", "said"),
    [
        (TWO, None, "task=None"),
        (TWO, {"type": "worker"}, "task={'type': 'worker'}"),
        (TWO, {"index": 0}, "task={'index': 0}"),
        (TWO, {"type": "chief", "index": 0}, "a task of one of its jobs: worker. Received: type='chief'."),
        (TWO, {"type": "worker", "index": 2}, "index of 0 to 1 for 'worker'. Received: index=2."),
        (TWO, {"type": "worker", "index": -1}, "Received: index=-1."),
        (TWO, {"type": "worker", "index": True}, "Received: index=True."),
        (TWO, {"type": "worker", "index": "one"}, "Received: index='one'."),
        ({**TWO, "ps": ["c:3"]}, FIRST, "parameter servers and evaluators are not used. Received: the job 'ps'."),
        ({**TWO, "evaluator": ["c:3"]}, FIRST, "are not used. Received: the job 'evaluator'."),
        ({**TWO, "wroker": ["c:3"]}, FIRST, "Received: 'wroker'. Did you mean 'worker'?"),
        ({**TWO, "chief": ["c:3", "d:4"]}, FIRST, "have one chief at most. Received: chief=['c:3', 'd:4']."),
        ({"worker": "a:1"}, FIRST, "list the addresses of 'worker'. Received: worker='a:1'."),
        ({"worker": []}, FIRST, "Received: worker=[]."),
        ({"worker": ["a:1", 5]}, FIRST, "Received: worker=['a:1', 5]."),
        ({"worker": ["a:1", "a:1"]}, FIRST, "an address of its own. Received: 'a:1' 2 times."),
        ({**TWO, "chief": ["a:1"]}, FIRST, "Received: 'a:1' 2 times."),
        *(
            ({"worker": ["a:1", address]}, FIRST, f"Received: {address!r}.")
            for address in ("b", "b:", ":2", "b:0", "b:65536", "b:x", "grpc://b:2", "::1:2", "b c:2", "b:2 ", "")
        ),
    ],
)
def test_a_fault_of_tf_config_is_named(cluster, task, said):
    with pytest.raises(InputError) as error:
        find_cluster(tf_config(cluster, task))
    assert said in str(error.value)
    assert len(error.value.faults) == 1


def test_all_faults_of_tf_config_are_named_at_once():
    with pytest.raises(InputError) as error:
        find_cluster(tf_config({"worker": ["a", "b:2", "b:2"], "ps": ["c:3"]}, {"type": "worker", "index": 7}))
    assert len(error.value.faults) == 4


SLURM = {
    "SLURM_JOB_ID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "node[9-10]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
}


@pytest.fixture
def slurm(monkeypatch):
    """Give a function that sets Slurm's variables: TensorFlow's resolver reads those of the process."""
    for name in [name for name in os.environ if name.startswith("SLURM")] + ["TF_CONFIG"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def be(task, node, **others):
        for name, value in {**SLURM, "SLURM_PROCID": str(task), "SLURMD_NODENAME": node, **others}.items():
            monkeypatch.setenv(name, value)
        return find_cluster(os.environ)

    return be


def test_a_slurm_step_names_hosts_as_slurm_counts_them(slurm):
    """TensorFlow's resolver takes node10 for the first, where no task 0 is."""
    cluster = slurm(2, "node10")
    assert [split_address(address)[0] for address in cluster.workers] == ["node9", "node9", "node10", "node10"]
    assert cluster.index == 2
    assert len(set(cluster.workers)) == 4


def test_slurm_jobs_on_one_node_have_different_ports(slurm):
    ports = {slurm(0, "node9", SLURM_JOB_ID=job, SLURM_STEP_ID=step).address for job in "123" for step in "01"}
    assert len(ports) == 6


@pytest.mark.parametrize(
    ("visible", "others", "taken"),
    [
        ("", {}, ""),
        ("0", {}, "0"),
        ("0,1", {}, "1"),
        ("4,5,6,7", {}, "6,7"),
        ("4,5,6,7", {"SLURM_GPUS_PER_TASK": "4"}, "4,5,6,7"),
    ],
)
def test_slurm_tasks_share_the_gpus_of_their_node(slurm, visible, others, taken):
    slurm(3, "node10", CUDA_VISIBLE_DEVICES=visible, **others)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == taken


@pytest.mark.parametrize(
    ("task", "node", "others", "said"),
    [
        (1, "node10", {}, "Received: task 1 is on node10, not on node9."),
        (1, "node9", {"SLURM_STEP_TASKS_PER_NODE": "3"}, "Slurm's variables must describe the step."),
        (1, "node9", {"SLURM_STEP_NODELIST": "node[9-"}, "Slurm's variables must describe the step."),
    ],
)
def test_slurm_variables_that_do_not_fit_are_refused(slurm, task, node, others, said):
    with pytest.raises(InputError) as error:
        slurm(task, node, **others)
    assert said in str(error.value)


# --- How they find each other ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def linked(size, patience=5.0, losses=None):
    """Give the links of processes that are threads here."""
    addresses = tuple(free_addresses(size))
    take = (lambda message: None) if losses is None else losses.append
    links = together(*(lambda i=i: join(Cluster(addresses, i), {}, 10, take, patience) for i in range(size)))
    try:
        yield links
    finally:
        together(*(link.close for link in links))


def together(*functions):
    """Call functions at the same time; return their results."""
    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(function) for function in functions]]


def failing(function, *args, **options):
    """Return the error that a call ends with."""
    with pytest.raises((InputError, RunFailed)) as error:
        function(*args, **options)
    return error.value


@pytest.fixture(autouse=True)
def short_farewell(monkeypatch):
    monkeypatch.setattr(link_module, "FAREWELL_SECONDS", 0.2)


@pytest.fixture(autouse=True)
def threads():
    """Nothing that a link started is left."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 20  # timers of a busy machine end a little later
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(threading.enumerate()) <= before


def test_workers_may_come_before_their_chief():
    first, second = free_addresses(2)

    def late():
        time.sleep(0.3)
        return join(Cluster((first, second), 0), {}, 10)

    links = together(lambda: join(Cluster((first, second), 1), {}, 10), late)
    together(*(link.close for link in links))


def test_who_does_not_come_is_named_in_every_process():
    addresses = tuple(free_addresses(4))
    errors = together(*(lambda i=i: failing(join, Cluster(addresses, i), {}, 0.5) for i in (0, 2)))
    for error in errors:
        assert isinstance(error, RunFailed)
        assert str(error) == (
            "All workers must join within 0.5 s. "
            f"Received: nothing from worker 1 ({addresses[1]}), worker 3 ({addresses[3]})."
        )


def test_a_chief_that_does_not_come_is_named():
    addresses = tuple(free_addresses(2))
    error = failing(join, Cluster(addresses, 1), {}, 0.3)
    assert isinstance(error, RunFailed)
    assert f"The chief must answer within 0.3 s. Received: nothing from worker 0 ({addresses[0]})" in str(error)


def test_something_else_at_the_chiefs_address_is_no_chief():
    addresses = tuple(free_addresses(2))
    with socket.create_server(("", split_address(addresses[0])[1])) as server:
        answer = threading.Thread(target=answer_as_http, args=(server,))
        answer.start()
        error = failing(join, Cluster(addresses, 1), {}, 0.0)
        answer.join()
    assert "something else listens there" in str(error)


def answer_as_http(server):
    connection, _ = server.accept()
    with connection:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(("index", "other"), [(0, "a second chief"), (1, "a second worker 1")])
def test_a_port_in_use_is_named(index, other):
    addresses = tuple(free_addresses(2))
    with socket.create_server(("", split_address(addresses[index])[1])):
        error = failing(join, Cluster(addresses, index), {}, 5)
    assert isinstance(error, InputError)
    assert f"another run or {other} may use it. Received: {addresses[index]} (Address already in use" in str(error)


def test_two_processes_of_the_same_index_are_both_refused():
    addresses = tuple(free_addresses(3))

    def begin(index, after):
        time.sleep(after)
        return failing(join, Cluster(addresses, index), {}, 10, secret="ours")

    errors = together(lambda: begin(0, 0), lambda: begin(1, 0), lambda: begin(1, 0.5))
    for error in errors:
        assert isinstance(error, InputError)
        assert f"Received: worker 1 ({addresses[1]}) from 127.0.0.1 port" in str(error)


def test_a_worker_of_another_cluster_is_refused():
    addresses, (elsewhere,) = tuple(free_addresses(2)), free_addresses(1)
    clusters = Cluster(addresses, 0), Cluster((addresses[0], elsewhere), 1)
    for error in together(*(lambda it=it: failing(join, it, {}, 5, secret="ours") for it in clusters)):
        assert isinstance(error, InputError)
        assert f"same cluster. Received: {', '.join(addresses)} on worker 0" in str(error)


@pytest.mark.parametrize(
    ("secret", "other", "said"),
    [
        ("", "", "All workers must have the same cluster."),
        ("", "theirs", "All workers must have the same secret in TLMED_WORKERS_SECRET."),
        ("ours", "", "All workers must have the same secret in TLMED_WORKERS_SECRET."),
        ("ours", "theirs", "All workers must have the same secret in TLMED_WORKERS_SECRET."),
    ],
)
def test_who_does_not_know_the_secret_is_refused_and_ends_nothing(secret, other, said):
    addresses, (elsewhere,) = tuple(free_addresses(2)), free_addresses(1)
    warned = []

    def stranger_then_worker():
        error = failing(join, Cluster((addresses[0], elsewhere), 1), {}, 5, secret=other)
        assert isinstance(error, InputError)
        assert str(error).startswith(said)
        return join(Cluster(addresses, 1), {}, 10, secret=secret)

    chief = Cluster(addresses, 0)
    links = together(lambda: join(chief, {}, 10, secret=secret, warn=warned.append), stranger_then_worker)
    together(*(link.close for link in links))
    [line] = warned
    assert line.startswith(f"A caller was refused. {said} Received: a call from 127.0.0.1 port ")


def test_a_refused_worker_is_named_when_time_is_up():
    addresses = tuple(free_addresses(2))
    error, _ = together(
        lambda: failing(join, Cluster(addresses, 0), {}, 0.6, secret="ours"),
        lambda: failing(join, Cluster(addresses, 1), {}, 5, secret="theirs"),
    )
    assert "Received: nothing from worker 1" in str(error)
    assert "Refused: 127.0.0.1 port " in str(error)
    assert "the same secret in TLMED_WORKERS_SECRET" in str(error)


def test_a_chief_that_does_not_know_the_secret_is_none():
    """It says WELCOME to everybody; nobody may send it a run's images or take weights from it."""
    addresses = tuple(free_addresses(2))

    def impostor(server):
        connection, _ = server.accept()
        with connection:
            connection.sendall(MAGIC + bytes(CHALLENGE) + pack_frame(Kind.WELCOME, b"0" * 64))
            while connection.recv(2**16):
                pass

    with socket.create_server(split_address(addresses[0])) as server:
        join_it = lambda: failing(join, Cluster(addresses, 1), {}, 0.0, secret="ours")  # noqa: E731
        error, _ = together(join_it, lambda: impostor(server))
    assert "something else listens there" in str(error)


def test_many_who_call_and_say_nothing_keep_no_worker_out():
    addresses = tuple(free_addresses(2))

    def strangers_then_worker():
        with contextlib.ExitStack() as held:
            for _ in range(3 * MOST_STRANGERS):
                held.enter_context(call(addresses[0]))
            return join(Cluster(addresses, 1), {}, 10)

    began = time.monotonic()
    links = together(lambda: join(Cluster(addresses, 0), {}, 10), strangers_then_worker)
    assert time.monotonic() - began < 5
    together(*(link.close for link in links))


def test_who_says_nothing_for_long_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(joining_module, "ANSWER_SECONDS", 0.1)
    addresses = tuple(free_addresses(2))

    def wait_for_the_end():
        with call(addresses[0]) as connection:
            connection.settimeout(5)
            while connection.recv(100):
                pass

    together(lambda: failing(join, Cluster(addresses, 0), {}, 1.0), wait_for_the_end)


@pytest.mark.parametrize("local", [True, False])
def test_processes_of_one_machine_are_not_to_be_reached_from_others(local, monkeypatch):
    """Another address of the loopback network stands for one of another interface."""
    addresses = tuple(free_addresses(2))
    monkeypatch.setattr(Cluster, "is_local", local)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(failing, join, Cluster(addresses, 0), {}, 0.5)
        call(addresses[0]).close()
        elsewhere = ("127.9.9.9", split_address(addresses[0])[1])
        if local:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(elsewhere)
        else:
            socket.create_connection(elsewhere).close()
        waiting.result()


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
        MAGIC,
        MAGIC + b"not JSON\n",
        MAGIC + b"[]\n",
        MAGIC + b'{"index": "1", "workers": []}\n',
        MAGIC + b'{"index": 1, "workers": [], "challenge": "", "proof": "\\ud800"}\n',
        pytest.param(MAGIC + b"[" * 60_000 + b"\n", id="deep"),
        pytest.param(MAGIC + b'{"index": ' + b"1" * 6000 + b"}\n", id="long number"),
        pytest.param(MAGIC + b"x" * 70_000, id="endless"),
    ],
)
def test_strangers_do_not_disturb(said):
    addresses = tuple(free_addresses(2))

    def stranger_then_worker():
        with call(addresses[0]) as connection:
            connection.sendall(said)
            return join(Cluster(addresses, 1), {}, 10)

    links = together(lambda: join(Cluster(addresses, 0), {}, 10), stranger_then_worker)
    together(*(link.close for link in links))


def call(address):
    deadline = time.monotonic() + 5
    while True:
        try:
            return socket.create_connection(split_address(address))
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_worker_that_was_started_again_is_no_second_one():
    addresses = tuple(free_addresses(3))

    def dies_then_joins():
        with call(addresses[0]) as connection:
            heard = receive_exactly(connection, len(MAGIC) + CHALLENGE)
            hello = {"index": 1, "workers": addresses, "challenge": "00"}
            hello["proof"] = prove(b"", "worker", heard[len(MAGIC) :], hello)
            connection.sendall(MAGIC + json.dumps(hello).encode() + b"\n")
            time.sleep(0.1)
        time.sleep(0.1)
        return together(*(lambda i=i: join(Cluster(addresses, i), {}, 10) for i in (1, 2)))

    chief, workers = together(lambda: join(Cluster(addresses, 0), {}, 10), dies_then_joins)
    together(chief.close, *(link.close for link in workers))


def test_the_chiefs_port_is_free_for_tensorflow_as_soon_as_all_are_there():
    with linked(2) as links:
        port = split_address(links[0].cluster.address)[1]
        socket.create_server(("", port)).close()
        if socket.has_dualstack_ipv6():
            socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True).close()


# --- What they say to each other ------------------------------------------------------------------------------------


def test_bytes_of_the_chief_reach_all_and_those_of_all_the_chief():
    with linked(3) as links:
        for payload in (b"", b"weights", bytes(50_000_000)):
            given = [payload, None, None]
            shared = together(*(lambda it=it, what=what: it.share(what) for it, what in zip(links, given, strict=True)))
            assert all(received == payload for received in shared)
        gathered = together(*(lambda it=it: it.gather(b"from %d" % it.cluster.index) for it in links))
        assert gathered == [[b"from 0", b"from 1", b"from 2"], None, None]


def test_nobody_passes_a_barrier_before_the_last_is_there():
    passed = []
    with linked(3) as links:

        def pass_barrier(link):
            time.sleep(0.1 * link.cluster.index)
            passed.append(("at", link.cluster.index))
            link.barrier()
            passed.append(("past", link.cluster.index))

        together(*(lambda it=it: pass_barrier(it) for it in links))
    assert [where for where, _ in passed] == ["at"] * 3 + ["past"] * 3


def test_recipes_that_differ_are_refused_everywhere_in_the_same_words():
    losses = []
    with linked(2, losses=losses) as links:
        together(*(lambda it=it: it.compare("recipe", {"seed": "1"}) for it in links))
        first, second = links[0].cluster.workers
        facts = [{"seed": "1", "phases.0.epochs": "3"}, {"seed": "1", "phases.0.epochs": "4", "extra": "x"}]
        errors = together(*(lambda it=it: failing(it.compare, "recipe", facts[it.cluster.index]) for it in links))
        time.sleep(0.1)
    for error in errors:
        assert isinstance(error, InputError)
        assert error.faults == (
            "All workers must have the same recipe. "
            f"Received: phases.0.epochs=3 on worker 0 ({first}), 4 on worker 1 ({second}).",
            f"extra=nothing on worker 0 ({first}), x on worker 1 ({second}).",
        )
    assert not losses, "who is refused ends by the error, not by the end of another"


def test_many_differences_are_counted():
    with linked(2) as links:
        facts = [{f"key{i}": str(i + process) for i in range(14)} for process in (0, 1)]
        errors = together(*(lambda it=it: failing(it.compare, "recipe", facts[it.cluster.index]) for it in links))
    assert [len(error.faults) for error in errors] == [11, 11]
    assert errors[1].faults[-1] == "And 4 more."


def test_processes_that_join_with_different_facts_are_refused():
    addresses = tuple(free_addresses(2))
    errors = together(*(lambda i=i: failing(join, Cluster(addresses, i), {"keras": f"3.{i}"}, 10) for i in (0, 1)))
    assert all("same versions and settings. Received: keras=3.0 on worker 0" in str(error) for error in errors)


def test_processes_out_of_step_are_told_so():
    with linked(2) as links:
        errors = together(lambda: failing(links[0].barrier), lambda: links[1].close())[:1]
    assert "has left" in str(errors[0])
    left, right = socket.socketpair()
    with right, Link(Cluster(("a:1", "b:2"), 1), {0: left}) as link:
        right.sendall(pack_frame(Kind.GATHER, b""))
        assert "must take the same steps. Received: GATHER from worker 0 (a:1)" in str(failing(link.share))
        right.sendall(pack_frame(Kind.GOODBYE, b""))


# --- How they end together ------------------------------------------------------------------------------------------


PROGRAM = """
import sys, threading
from tlmed.cluster import Cluster, join
link = join(Cluster(tuple(sys.argv[2:]), int(sys.argv[1])), {}, 20, patience=1.0)
print("joined", flush=True)
threading.Event().wait()
"""


@contextlib.contextmanager
def processes(size):
    """Give processes that hang, once they are linked, and their addresses."""
    addresses = free_addresses(size)
    command = [sys.executable, "-c", PROGRAM]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, str(i), *addresses], **pipes) for i in range(size)]
    try:
        for process in started:
            assert process.stdout.readline() == "joined\n"
        yield started, addresses
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("lost", [0, 2])
def test_a_killed_process_ends_the_others_even_where_they_hang(lost):
    with processes(3) as (started, addresses):
        started[lost].kill()
        for i in {0, 1, 2} - {lost}:
            _, said = started[i].communicate(timeout=10)
            assert started[i].returncode == 3
            assert said == (
                "Error: All workers must stay until the end. "
                f"Received: worker {lost} ({addresses[lost]}) was lost. The same commands again continue the run.\n"
            )


def test_a_process_that_says_nothing_is_lost_after_the_patience():
    with processes(3) as (started, addresses):
        started[1].send_signal(signal.SIGSTOP)
        for i in (0, 2):
            _, said = started[i].communicate(timeout=10)
            assert started[i].returncode == 3
            assert f"Received: worker 1 ({addresses[1]}) was lost." in said
        started[1].send_signal(signal.SIGCONT)
        started[1].communicate(timeout=10)
        assert started[1].returncode == 3


def pair(patience):
    """Return a chief's link to worker 1, and worker 1's end of it, which nobody reads."""
    losses, (left, right) = [], socket.socketpair()
    return Link(Cluster(("a:1", "b:2"), 0), {1: left}, losses.append, patience), right, losses


def test_what_waits_for_a_lost_process_ends():
    link, other, losses = pair(patience=5)
    with link:
        threading.Timer(0.1, other.close).start()
        error = failing(link.barrier)
        assert isinstance(error, RunFailed)
        assert [str(error)] == losses == [link.cause(0)]
        assert "worker 1 (b:2) was lost" in losses[0]
        assert failing(link.barrier).faults == error.faults, "and every later call, too"


def test_what_is_sent_to_a_process_that_stopped_to_read_ends():
    link, other, losses = pair(patience=0.4)
    with other, link:
        error = failing(link.share, bytes(10_000_000))
        assert [str(error)] == losses


def test_a_large_share_is_a_sign_of_life_and_keeps_none_from_the_others():
    """It takes several times the patience."""
    (left, right), (up, down) = socket.socketpair(), socket.socketpair()
    losses, workers = [], ("a:1", "b:2", "c:3")
    chief = Link(Cluster(workers, 0), {1: left, 2: up}, losses.append, 0.5)
    idle = Link(Cluster(workers, 2), {0: down}, losses.append, 0.5)

    def read_slowly():
        received = 0
        while received < 3_000_000:
            received += len(right.recv(65_536))
            right.send(bytes([Kind.BEAT]))
            time.sleep(0.03)

    with right, chief, idle:
        together(lambda: chief.share(bytes(3_000_000)), read_slowly, idle.share)
        assert not losses
        right.sendall(pack_frame(Kind.GOODBYE, b""))
        idle.close()


def test_bytes_that_arrive_slowly_are_a_sign_of_life():
    losses, (left, right) = [], socket.socketpair()
    with right, Link(Cluster(("a:1", "b:2"), 1), {0: left}, losses.append, 0.3) as link:

        def send_slowly():
            for byte in pack_frame(Kind.SHARE, b"slow"):
                right.send(bytes([byte]))
                time.sleep(0.06)

        _, received = together(send_slowly, link.share)
        assert received == b"slow"
        assert not losses
        right.sendall(pack_frame(Kind.GOODBYE, b""))


@pytest.mark.parametrize("leaver", [0, 1])
def test_who_says_goodbye_is_not_lost(leaver):
    losses = []
    with linked(3, patience=0.4, losses=losses) as links:
        links[leaver].close()
        time.sleep(0.6)
        assert not losses
        assert f"worker {leaver} " in str(failing(links[0 if leaver else 2].barrier))


def test_an_error_of_one_process_ends_the_others_in_a_while(monkeypatch):
    monkeypatch.setattr(link_module, "GRACE_SECONDS", 0.3)
    losses = []
    with linked(3, losses=losses) as links:
        expected = f"{links[1].cluster.name(1)} ended: `seed` must be 0 or more."
        waiting = together(
            lambda: links[1].close("`seed` must be 0 or more."),
            lambda: failing(links[2].barrier),  # ends at once, and may end in order
            lambda: links[0].cause(),
        )
        assert str(waiting[1]) == waiting[2] == expected
        links[2].close()
        time.sleep(0.5)
    assert losses == [expected], "worker 2 ended by itself"


@pytest.mark.parametrize(
    "garbage",
    [
        *(bytes([kind]) + (LIMITS[kind] + 1).to_bytes(8, "big") for kind in Kind if kind is not Kind.BEAT),
        *(b"\xff", b"\x00" * 20, bytes([Kind.SHARE]) + b"\xff" * 8),
    ],
)
def test_a_process_that_sends_garbage_is_lost(garbage):
    link, other, losses = pair(patience=5)
    with other, link:
        other.sendall(garbage)
        assert "worker 1 (b:2) was lost" in str(failing(link.barrier))
        assert len(losses) == 1


def test_frames_come_out_as_they_went_in():
    left, right = socket.socketpair()
    with left, right:
        for kind, payload in ((Kind.SHARE, b"x" * 1000), (Kind.GOODBYE, b""), (Kind.GATHER, b"")):
            left.sendall(pack_frame(kind, payload))
            assert receive_frame(right) == (kind, payload)
        left.sendall(bytes([Kind.BEAT, 99]))
        assert receive_frame(right) == (Kind.BEAT, b"")
        with pytest.raises(FrameError):
            receive_frame(right)


def test_memory_is_taken_for_what_has_arrived_and_not_for_what_was_announced():
    left, right = socket.socketpair()
    with right:
        with left:
            left.sendall(bytes([Kind.SHARE]) + LIMITS[Kind.SHARE].to_bytes(8, "big") + b"short")
        tracemalloc.start()
        with pytest.raises(EOFError):
            receive_frame(right)
        assert tracemalloc.get_traced_memory()[1] < 3 * CHUNK
        tracemalloc.stop()
