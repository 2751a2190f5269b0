"""`pytest --tlmed-locks`: one test for each lock. A stand-in takes the place of `tlmed`, but for the slow tests."""

import _thread
import configparser
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import SMALL
from tests.processes import is_running, until
from tlmed import launch, pytest_locks

pytest_plugins = "pytester"

ROOT = Path(__file__).parent.parent
TLMED = launch.TLMED
# Without the plugins that happen to be installed here, and whether or not tlmed's own is declared yet.
PLUGIN = ("-p", "tlmed.pytest_locks", "-p", "no:cacheprovider")
XDIST = ("-p", "xdist.plugin", "-n", "2")
# Says how it was called, and does what the lock's content says.
STAND_IN = """
import json, os, pathlib, signal, sys, time
lock = json.loads(pathlib.Path(sys.argv[2]).read_text())
print("called:", *sys.argv[1:], "in", os.getcwd(), flush=True)
print("| accuracy | 0.91 | 0.87 |")
if lock.get("sleep"):
    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(lock["sleep"])
if lock.get("kill"):
    os.kill(os.getpid(), signal.SIGKILL)
if lock["status"]:
    print("Error: accuracy must be 0.91. Received: 0.87.", file=sys.stderr)
sys.exit(lock["status"])
"""


@pytest.fixture(autouse=True)
def stand_in(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    file = pytester.makefile(".txt", stand_in=STAND_IN)
    monkeypatch.setattr(launch, "TLMED", (sys.executable, str(file)))
    return file


@pytest.fixture
def everywhere(pytester, stand_in):
    """Put the stand-in into other processes, too."""
    pytester.makeconftest(f"import sys, tlmed.launch; tlmed.launch.TLMED = (sys.executable, {str(stand_in)!r})")


@pytest.fixture
def locks(pytester):
    return write_locks(pytester.mkdir("locks"), a=0, b=1)


def write_locks(folder, **statuses):
    for name, status in statuses.items():
        write_lock(folder / f"{name}.json", status=status)
    return folder


def write_lock(path, **content):
    path.write_text(json.dumps({"status": 0, **content}))
    return path


def ids(result):
    return [line for line in result.outlines if "::" in line and " " not in line]


def test_the_plugin_is_declared():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert "tlmed_locks = tlmed.pytest_locks" in setup["options.entry_points"]["pytest11"].split("\n")


def test_importing_it_loads_nothing_of_tlmed():
    code = "import pytest, sys; before = set(sys.modules); import tlmed.pytest_locks; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"tlmed", "tlmed.late_names", "tlmed.pytest_locks"}


def test_without_the_option_nothing_happens(pytester, locks):
    pytester.makepyfile("def test_own(request): assert not request.config.pluginmanager.hasplugin('tlmed_lock_tests')")
    result = pytester.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(passed=1)


def test_locks_are_tests_beside_the_users_own(pytester, locks):
    pytester.makepyfile("def test_own(): pass")
    result = pytester.runpytest_inprocess(*PLUGIN, "--tlmed-locks", "locks/", "--collect-only", "-q")
    assert ids(result) == [
        "test_locks_are_tests_beside_the_users_own.py::test_own",
        "locks/a.json::a.json",
        "locks/b.json::b.json",
    ]


def test_a_failure_shows_the_table_and_the_error_and_no_traceback(pytester, locks):
    result = pytester.runpytest_inprocess(*PLUGIN, "--tlmed-locks", "locks")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ tlmed reproduce b.json _*",
            "not the same (exit status 1)",
            "",
            f"called: reproduce locks/b.json in {pytester.path}",
            "| accuracy | 0.91 | 0.87 |",
            "Error: accuracy must be 0.91. Received: 0.87.",
            "FAILED locks/b.json::b.json - Failed: not the same*",
        ],
        consecutive=False,
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_locks.py*")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"status": 2}, "error: what was given cannot be used (exit status 2)"),
        ({"status": 3}, "error: it could not finish (exit status 3)"),
        ({"status": 75}, "error: it was stopped by SIGTERM (exit status 75)"),
        ({"status": 4}, "error: it failed (exit status 4)"),
        ({"kill": True}, "error: it was killed by SIGKILL (exit status -9)"),
    ],
)
def test_what_is_no_difference_says_so(pytester, content, words):
    write_lock(pytester.path / "x.json", **content)
    result = pytester.runpytest_inprocess(*PLUGIN, "--tlmed-locks", "x.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([words])


def test_a_table_can_be_seen_where_all_is_the_same(pytester):
    write_lock(pytester.path / "x.json")
    result = pytester.runpytest_inprocess(*PLUGIN, "--tlmed-locks", "x.json", "-rP")
    result.stdout.fnmatch_lines(["*tlmed reproduce*", "| accuracy | 0.91 | 0.87 |"])


def test_options_are_passed_on(pytester):
    write_lock(pytester.path / "x.json")
    options = ("--tlmed-level", "metrics", "--tlmed-data", "my images", "--tlmed-check", "--tlmed-quick")
    result = pytester.runpytest_inprocess(*PLUGIN, "--tlmed-locks", "x.json", *options, "-rP")
    result.stdout.fnmatch_lines(["called: reproduce x.json --level metrics --data my images --check --quick in *"])


def test_the_options_are_those_of_the_command(pytester):
    from tlmed.cli import cli

    names = {name for parameter in cli.commands["reproduce"].params for name in parameter.opts}
    assert names >= {"--level", "--data", "--check", "--quick"}
    level = next(it for it in cli.commands["reproduce"].params if "--level" in it.opts)
    assert set(level.type.choices) == {"bits", "predictions", "metrics"}


@pytest.mark.parametrize("given", ["nowhere", "empty", "empty/note.txt/x.json"])
def test_no_lock_is_a_usage_error_of_one_line(pytester, given):
    (pytester.mkdir("empty") / "note.txt").touch()
    result = pytester.runpytest_inprocess(*PLUGIN, "--tlmed-locks", given)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line] == [
        f"ERROR: `--tlmed-locks` must be a lock, or a folder with locks (*.json). Received: --tlmed-locks={given}."
    ]


def test_several_paths_give_each_lock_once(pytester, locks):
    write_lock(pytester.path / "[odd] name::.json")
    given = [
        word for path in ("locks/b.json", "[odd] name::.json", "locks", "./locks") for word in ("--tlmed-locks", path)
    ]
    result = pytester.runpytest_inprocess(*PLUGIN, *given, "--collect-only")
    tests = [line.strip() for line in result.outlines if "LockTest " in line]
    assert tests == ["<LockTest b.json>", "<LockTest [odd] name::.json>", "<LockTest a.json>"]


def test_locks_are_found_where_pytest_looks_for_no_tests(pytester):
    write_locks(pytester.mkdir("build"), a=0)
    pytester.makeini("[pytest]\ntestpaths = own\nnorecursedirs = build")
    (pytester.mkdir("own") / "test_own.py").write_text("def test_own(): pass")
    result = pytester.runpytest_inprocess(*PLUGIN, "--tlmed-locks", "build", "--collect-only", "-q")
    assert ids(result) == ["own/test_own.py::test_own", "build/a.json::a.json"]


def test_locks_outside_of_the_root_are_told_apart(pytester):
    for name in ("one", "other"):
        write_locks(pytester.mkdir(name), a=0)
    here = pytester.mkdir("here")
    (here / "pytest.ini").write_text("[pytest]\n")
    given = ("--tlmed-locks", "../one", "--tlmed-locks", "../other")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        result = pytester.runpytest_inprocess(*PLUGIN, "--rootdir", str(here), *given, "--collect-only", "-q")
    assert len(set(ids(result))) == 2


def test_one_lock_can_be_chosen_by_its_id(pytester, locks):
    for chosen in (
        ["locks/a.json::a.json"],
        ["locks/a.json"],
        ["-k", "a.json"],
        ["--deselect", "locks/b.json::b.json"],
    ):
        result = pytester.runpytest_inprocess(*PLUGIN, "--tlmed-locks", "locks", *chosen, "--collect-only", "-q")
        assert ids(result) == ["locks/a.json::a.json"]


def test_junit_names_the_locks(pytester, locks):
    pytester.runpytest_inprocess(*PLUGIN, "--tlmed-locks", "locks", "--junitxml", "junit.xml")
    cases = {case.get("name"): case for case in ElementTree.parse("junit.xml").iter("testcase")}
    assert set(cases) == {"a.json", "b.json"}
    assert cases["a.json"].find("failure") is None
    assert "Received: 0.87." in cases["b.json"].find("failure").text


def test_under_xdist_every_worker_finds_the_same(pytester, everywhere):
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    write_locks(pytester.mkdir("locks"), c=0, a=1, b=2, d=0)
    result = pytester.runpytest_subprocess(*PLUGIN, *XDIST, "--tlmed-locks", "locks", "--junitxml", "junit.xml")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines_random(
        ["not the same (exit status 1)", "error: what was given cannot be used (exit status 2)"]
    )
    names = sorted(case.get("name") for case in ElementTree.parse("junit.xml").iter("testcase"))
    assert names == ["a.json", "b.json", "c.json", "d.json"]


@pytest.fixture
def interrupts():
    """Listen to SIGINT, and let processes that are started do so: a shell's background jobs begin with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("workers", [(), XDIST], ids=["alone", "xdist"])
def test_an_interrupt_ends_the_command_too(pytester, everywhere, workers):
    if workers:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    write_lock(pytester.path / "x.json", sleep=60)
    command = [sys.executable, "-m", "pytest", *PLUGIN, *workers, "--tlmed-locks", "x.json"]
    quiet = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
    note = pytester.path / "pid"
    with pytester.popen(command, start_new_session=True, **quiet) as process:
        until(lambda: note.exists() and note.read_text())
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    until(lambda: not is_running(int(note.read_text())))


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("deaf", [False, True])
def test_the_command_is_asked_to_end_and_then_made_to(pytester, stand_in, monkeypatch, deaf):
    """From another thread, as pytest-xdist does it: no signal wakes what waits for the command."""
    answer = "" if deaf else "pathlib.Path('asked').touch(); sys.exit(75)"
    code = f"import pathlib, signal, sys, time\ndef ask(*_): {answer or 'pass'}\nsignal.signal(signal.SIGTERM, ask)\n"
    stand_in.write_text(code + STAND_IN)
    write_lock(pytester.path / "x.json", sleep=60)
    monkeypatch.setattr(pytest_locks, "GRACE_SECONDS", 0.2)
    note = pytester.path / "pid"

    def interrupt():
        until(lambda: note.exists() and note.read_text())
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pytest_locks._reproduce(["x.json"], pytester.path)
    assert time.monotonic() - begin < 10
    assert not is_running(int(note.read_text()))
    assert Path("asked").exists() is not deaf


@pytest.mark.slow
def test_a_real_run_is_reproduced_and_a_damaged_lock_is_not(pytester, images):
    settings = [word for setting in (*SMALL, "phases.epochs=1") for word in ("--set", setting)]
    train = ["train", "feature_extractor", "--data", str(images), "--out", "run", *settings]
    assert pytester.run(*TLMED, *train).ret == 0
    folder = pytester.mkdir("locks")
    shutil.copy("run/lock.json", folder / "good.json")
    text = (folder / "good.json").read_text()
    (folder / "damaged.json").write_text(text[: len(text) // 2])
    result = pytester.runpytest_subprocess(*PLUGIN, "--tlmed-locks", "locks", "-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["locks/damaged.json::damaged.json FAILED*", "locks/good.json::good.json PASSED*", "error: *(exit status 2)"]
    )
    shutil.copytree(images, "other")
    first, second, *_ = sorted(Path("other").glob("*/*.png"))
    shutil.copy(first, second)
    options = ("--tlmed-check", "--tlmed-data", "other")
    result = pytester.runpytest_subprocess(*PLUGIN, "--tlmed-locks", "locks/good.json", *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not the same (exit status 1)", "Error: *"])
