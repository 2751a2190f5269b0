"""Processes on one machine: what they say is told apart, and none of them outlives the others."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.processes import is_running, until
from tlmed.cluster.addresses import read_tf_config
from tlmed.errors import InputError
from tlmed.launch import free_addresses, launch

START = "import json, os, signal, sys, time; i = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture(autouse=True)
def threads():
    """Nothing that the launcher started is left."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def run(workers, code, **options):
    """Return the status, what was said and what was warned of by processes that run a line of Python."""
    said, warned = [], []
    command = ["-c", START + code]
    status = launch(workers, command, said.append, warned.append, **{"program": [sys.executable], **options})
    return status, sorted(said), sorted(warned)


def test_lines_carry_the_index_of_their_process_and_errors_stay_apart():
    code = "print('hello\\nthere'); sys.stderr.write('a warning'); sys.stdout.buffer.write(b'\\xff last')"
    status, said, warned = run(2, code)
    assert status == 0
    assert said == [f"[{i}] {line}" for i in (0, 1) for line in ("hello", "there", "\N{REPLACEMENT CHARACTER} last")]
    assert warned == ["[0] a warning", "[1] a warning"]


def test_many_lines_stay_whole():
    _, said, _ = run(2, "print('\\n'.join('x' * n for n in range(3000)))")
    assert said == sorted(f"[{i}] {'x' * n}" for i in (0, 1) for n in range(3000))


def test_each_process_knows_its_place():
    _, said, _ = run(3, "print(os.environ['TF_CONFIG'], os.environ['PYTHONUNBUFFERED'], sep='|')")
    configs = [line[4:].split("|") for line in said]
    clusters = [read_tf_config(config) for config, _ in configs]
    assert [cluster.index for cluster in clusters] == [0, 1, 2]
    assert len({cluster.workers for cluster in clusters}) == 1
    assert {unbuffered for _, unbuffered in configs} == {"1"}


def test_lines_are_shown_when_they_are_printed():
    """An epoch's line must not wait for the end of the run."""
    times = {}
    launch(1, ["-c", "import time; print('first'); time.sleep(0.5); print('second')"],
           lambda line: times.update({line: time.monotonic()}), program=[sys.executable])  # fmt: skip
    assert times["[0] second"] - times["[0] first"] > 0.3


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_process_is_refused(workers):
    with pytest.raises(InputError, match=rf"`--workers` must be 1 or more. Received: --workers={workers}\."):
        launch(workers, ["train", "quickstart"])


def test_gpus_are_divided(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4,5,6")
    assert run(2, "print(os.environ['CUDA_VISIBLE_DEVICES'])")[1] == ["[0] 3,4", "[1] 5,6"]
    with pytest.raises(InputError, match="Received: --workers=5, 4 visible"):
        run(5, "pass")


def test_the_exit_status_is_that_of_the_first_that_failed():
    status, _, warned = run(3, "time.sleep(0.3 * i); sys.exit((0, 2, 7)[i])")
    assert (status, warned) == (2, [])


def test_one_that_ends_well_leaves_the_others_alone():
    status, said, _ = run(2, "time.sleep(0.5 * i); print('done')", wait=0.1, grace=0.1)
    assert (status, said) == (0, ["[0] done", "[1] done"])


def test_when_one_fails_the_others_are_asked_to_end_in_order():
    code = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('in order') or 75)); time.sleep(0.3)\n"
    status, said, warned = run(3, code + "if i == 1: sys.exit(2)\ntime.sleep(60)", wait=0.2)
    assert (status, said, warned) == (2, ["[0] in order", "[2] in order"], [])


def test_when_one_fails_the_others_have_a_while_to_end_by_themselves():
    status, said, _ = run(2, "time.sleep(0.2 + 0.4 * i); print('out'); sys.exit(3 + i)", wait=5)
    assert (status, said) == (3, ["[0] out", "[1] out"])


def test_one_that_hangs_is_killed_in_the_end():
    began = time.monotonic()
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(0.3)\nif i: sys.exit(5)\ntime.sleep(60)"
    status, _, warned = run(2, code, wait=0.2, grace=0.2)
    assert (status, warned) == (5, [])
    assert time.monotonic() - began < 10


def test_one_that_is_killed_is_named():
    status, _, warned = run(2, "if i == 1: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(60)", wait=0.1)
    assert (status, warned) == (3, ["Error: worker 1 was killed by SIGKILL."])


LAUNCHER = """
import sys
from tlmed.launch import launch
sys.exit(launch(2, ["-c", sys.argv[1]], program=[sys.executable]))
"""
READY = "print('ready', os.getpid()); time.sleep(60)"


def start_launcher(code):
    """Return a launcher of two processes, and their ids once they are ready."""
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, START + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = (line.split() for line in launcher.stdout if "ready" in line)
    return launcher, [int(next(lines)[-1]) for _ in range(2)]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
@pytest.mark.parametrize("handled", [True, False])
def test_signals_are_passed_on_and_the_ends_awaited(number, status, handled):
    handler = f"lambda *_: (time.sleep(0.2), print('saved'), sys.exit({status}))" if handled else "signal.SIG_DFL"
    launcher, _ = start_launcher(f"signal.signal({int(number)}, {handler})\n" + READY)
    launcher.send_signal(number)
    said, warned = launcher.communicate(timeout=10)
    assert launcher.returncode == status
    assert sorted(said.splitlines()) == (["[0] saved", "[1] saved"] if handled else [])
    assert not warned


def test_a_second_ctrl_c_kills():
    launcher, _ = start_launcher("signal.signal(signal.SIGINT, lambda *_: print('no'))\nprint('ready', os.getpid())\n"
                                 "while True: time.sleep(1)")  # fmt: skip
    launcher.send_signal(signal.SIGINT)
    assert sorted(launcher.stdout.readline() for _ in range(2)) == ["[0] no\n", "[1] no\n"]
    launcher.send_signal(signal.SIGINT)
    launcher.communicate(timeout=10)
    assert launcher.returncode == 130


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process when its parent is gone")
def test_nobody_outlives_a_launcher_that_is_killed():
    launcher, ids = start_launcher(READY)
    launcher.kill()
    launcher.communicate()
    until(lambda: not any(map(is_running, ids)))


def test_a_reader_that_has_gone_ends_the_processes():
    launcher, ids = start_launcher("print('ready', os.getpid())\nwhile True: print('line'); time.sleep(0.05)")
    launcher.stdout.close()
    with launcher:
        assert "BrokenPipeError" in launcher.stderr.read()
    until(lambda: not any(map(is_running, ids)))


def test_the_program_is_tlmed_itself():
    said = []
    assert launch(2, ["--version"], said.append) == 0
    assert [line.split(",")[0] for line in sorted(said)] == ["[0] tlmed", "[1] tlmed"]


def test_addresses_differ():
    assert len(set(free_addresses(50))) == 50
    assert not free_addresses(0)
