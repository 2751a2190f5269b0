"""How others tell that a process which works on a study has ended, at once or after a while without a sign of life."""

import dataclasses
import os
import re
import subprocess
import sys
import time

import pytest
from sqlalchemy import text

from tlmed import status
from tlmed.run_files.owner_files import GRACE_SECONDS, describe_process, read_owners
from tlmed.run_files.study_files import CELL_COLUMNS, write_cells, write_study
from tlmed.status import describe_study
from tlmed.studies.ledger import Ledger


@pytest.fixture
def child():
    """Give a process that lives until it is killed."""
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def open_ledger(tmp_path):
    """Give a function that opens the ledger of a study in a folder of its own, as another machine may have one."""
    opened = []

    def run(name, url=None):
        opened.append(Ledger(tmp_path / name, url or f"sqlite:///{tmp_path}/study.db", "study"))
        return opened[-1]

    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    yield run
    for ledger in opened:
        ledger.close()


def take(ledger, process):
    """Enter a cell and take it, as a process of its own that is not this one."""
    ledger.process = process
    ledger.enter(["cell"], again=False)
    return ledger.claim(lambda name: True)[0]


def grow_old(ledger, seconds):
    """Make the last sign of life in a database as old as this."""
    with ledger.storage.engine.begin() as connection:
        said = f"UPDATE trial_heartbeats SET heartbeat = datetime(CURRENT_TIMESTAMP, '-{seconds} seconds')"
        assert connection.execute(text(said)).rowcount == 1


def test_a_process_has_ended_when_it_was_killed_or_another_has_its_number(child):
    living = describe_process(child.pid)
    assert not living.has_ended
    assert dataclasses.replace(living, started=living.started - 5).has_ended
    other = dataclasses.replace(living, machine="another boot")
    child.kill()
    while not living.has_ended:  # also while nobody has asked how it ended
        time.sleep(0.01)
    child.wait()
    assert living.has_ended
    assert not other.has_ended  # this cannot be known from here


def test_a_cell_of_a_process_that_was_killed_on_this_machine_is_taken_over_at_once(open_ledger, child):
    first, second = open_ledger("one"), open_ledger("two")
    take(first, describe_process(child.pid))
    assert second.find_lost() == []
    child.kill()
    child.wait()
    assert second.find_lost() == ["cell"]
    assert second.read()["cell"].state == "waiting"


def test_a_cell_of_another_machine_is_taken_over_after_as_long_as_the_docs_say(open_ledger, child):
    first, second = open_ledger("one"), open_ledger("two")
    trial = take(first, dataclasses.replace(describe_process(child.pid), host="far"))
    child.kill()
    child.wait()
    grow_old(first, GRACE_SECONDS - 5)
    assert second.find_lost() == []
    first.beat()
    grow_old(first, GRACE_SECONDS + 5)
    assert second.find_lost() == ["cell"]
    assert read_owners(first.folder)[0].cells == ("cell",)
    first.finish(trial, 0.5, {})  # it only slept: the cell is another's now
    first.give_back(trial, "cell")
    assert second.read()["cell"].state == "waiting"
    assert read_owners(first.folder)[0].cells == ()
    assert len(second.storage.get_all_trials(second.study)) == 2


def test_a_trial_that_names_no_process_is_lost_after_a_while_whatever_its_clock_said(open_ledger, monkeypatch):
    first, second = open_ledger("one"), open_ledger("two")
    monkeypatch.setattr(first.storage, "set_trial_user_attr", lambda *facts: None)  # it is killed just before
    monkeypatch.setattr(first, "_is_double", lambda *facts: False)
    second.enter(["cell"], again=False)
    first.claim(lambda name: True)
    now = time.monotonic()
    for later, found in ((0, []), (GRACE_SECONDS - 1, []), (GRACE_SECONDS + 1, ["cell"])):
        monkeypatch.setattr(time, "monotonic", lambda later=later: now + later)
        assert second.find_lost() == found


def make_study(folder, **states):
    write_study(folder, {"data": "images", "varied": [], "cells": {}})
    blank = dict.fromkeys(CELL_COLUMNS, "")
    rows = [blank | {"cell": name, "state": state, "run": f"runs/{name}"} for name, state in states.items()]
    write_cells(folder, (), rows)


def be_old(file, seconds):
    os.utime(file, (time.time() - seconds,) * 2)


def test_status_says_who_trains_a_cell_and_at_once_that_a_process_was_killed(tmp_path, child):
    make_study(tmp_path, cell="running", other="waiting")
    ledger = Ledger(tmp_path, None, "study")
    process = describe_process(child.pid)
    take(ledger, process)
    head, said, signs = describe_study(tmp_path)
    assert head.endswith("a study of 2 cells: 1 running, 1 waiting.")
    assert said == f"cell: running (process {child.pid} of {process.host})"
    assert re.fullmatch(r"1 process works on it here. Last sign of life: \d s ago.", signs)
    assert read_owners(tmp_path)[0].cells == ("cell",)
    ledger._file.close()  # as the system does when it is killed
    child.kill()
    child.wait()
    be_old(tmp_path / "cells.csv", 100)
    be_old(tmp_path / "owners" / ledger.owner, 7)
    head, said, signs = describe_study(tmp_path)
    assert head.endswith("a study of 2 cells: 1 waiting, 1 stopped.")
    assert said == f"cell: stopped: process {child.pid} of {process.host} has ended"
    assert signs == ("No process works on it here; the same `tlmed sweep` command goes on. Last sign of life: 7 s ago.")
    ledger.close()


@pytest.mark.parametrize(("age", "state"), [(30, "running"), (50, "stopped")])
def test_status_waits_for_another_machine_as_long_as_the_docs_say(age, state, tmp_path, child):
    make_study(tmp_path, cell="running")
    ledger = Ledger(tmp_path, None, "study")
    take(ledger, dataclasses.replace(describe_process(child.pid), host="far"))
    ledger._file.close()  # the lock of another machine may not be seen here
    be_old(tmp_path / "owners" / ledger.owner, age)
    be_old(tmp_path / "cells.csv", age)
    (owner,) = read_owners(tmp_path)
    assert owner.has_ended == (state == "stopped")
    head, said, signs = describe_study(tmp_path)
    assert head.endswith(f"a study of 1 cell: 1 {state}.")
    named = f"process {child.pid} of far"
    end = f"stopped: {named} has given no sign of life for 50 s"
    assert said == f"cell: {end if state == 'stopped' else f'running ({named})'}"
    assert signs.endswith(f"Last sign of life: {age} s ago.")
    ledger.close()


def test_status_believes_a_table_without_a_process_no_longer_than_it_is_new(tmp_path):
    make_study(tmp_path, cell="running")
    assert describe_study(tmp_path)[1] == "cell: running elsewhere"
    be_old(tmp_path / "cells.csv", 200)
    head, said, _ = describe_study(tmp_path)
    assert head.endswith("1 stopped.")
    assert said == "cell: stopped, or trained elsewhere: the table is 3 min 20 s old"
    make_study(tmp_path, cell="complete")
    assert "sign of life" not in " ".join(describe_study(tmp_path))


def test_status_sees_what_a_killed_process_did_not_write(tmp_path, monkeypatch):
    make_study(tmp_path, cell="running")
    ended = type("Ended", (), {"cells": ("other",), "age": 1.0, "has_ended": True, "process": None})()
    monkeypatch.setattr(status, "read_owners", lambda folder: [ended])
    head, said, _ = describe_study(tmp_path)
    assert head.endswith("1 stopped.")
    assert said == "cell: stopped, or trained elsewhere: no process works on it here"
    monkeypatch.setattr(status.RunDir, "exists", True)
    monkeypatch.setattr(status.RunDir, "complete", True)
    head, said, *_ = describe_study(tmp_path)
    assert head.endswith("1 complete.")
    assert said == "cell: complete, which the table does not say yet"
