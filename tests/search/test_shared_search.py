"""A search that several machines share by a database: three processes, of which one is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.postgresql import serve
from tlmed.run_files.owner_files import read_owners
from tlmed.run_files.search_files import read_candidates, read_search_json
from tlmed.run_files.study_files import read_cells

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.search.conftest import small
from tests.studies.conftest import program
from tlmed.screen import Screen
from tlmed.studies import Order, sweeping, worker_pool
from tlmed.sweeps import run_study
worker_pool.PROGRAM, sweeping._TICK = program({seconds}, "ranked"), 0.02
study = small(
    9, recipes=("feature_extractor",), backbones=("LeNet5",), settings={{"data.image_size": "32,32"}},
    vary={{"phases.l2": ("0.001", "0.01", "0.1", "1", "10", "100")}},
)
order = Order(Path(sys.argv[1]), jobs=1, storage=sys.argv[2] if len(sys.argv) > 2 else None)
run_study(study, order, Screen(sys.stdout, waits=False), "images")
"""


def start(folder, *storage, seconds=0.4):
    script = SCRIPT.format(root=str(Path(__file__).parents[2]), seconds=seconds)
    command = [sys.executable, "-c", script, str(folder), *storage]
    folder.parent.mkdir()
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def find_result(folder):
    """Return what a search found, without what depends on who tried which candidate first."""
    (search,) = read_search_json(folder)["searches"]
    scores = {name: search[name] for name in ("validation", "fresh", "test", "optimism")}
    return search["winner"]["phases.l2"], search["finals"], scores


@pytest.mark.slow
def test_three_processes_share_a_search_by_a_database_and_find_the_winner_that_one_finds_with_a_file(tmp_path):
    alone = start(tmp_path / "alone" / "study")
    said = alone.communicate()[0].decode()
    assert alone.returncode == 0, said
    wanted = find_result(tmp_path / "alone" / "study")
    *_, second, first = sorted(float(row["validation"]) for row in read_candidates(tmp_path / "alone" / "study"))
    assert first - second > 0.05  # else the order of trainings could decide
    with serve() as database:
        # The first is slow, so that it is still training when it is killed.
        slow = {"one": 2.0, "two": 0.4, "three": 0.4}
        processes = [start(tmp_path / name / "study", database, seconds=each) for name, each in slow.items()]
        lines = iter(processes[0].stdout.readline, b"")
        assert any(b"validation" in line for line in lines)
        while processes[0].poll() is None and not read_owners(tmp_path / "one" / "study")[0].cells:
            time.sleep(0.01)
        os.killpg(processes[0].pid, signal.SIGKILL)
        told = [process.communicate()[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0, 0], "\n".join(told)
    assert "taken over from a process that has ended" in told[1] + told[2]
    for name in ("two", "three"):
        folder = tmp_path / name / "study"
        found = find_result(folder)
        assert found[:2] == wanted[:2]
        assert found[2] == pytest.approx(wanted[2])
        assert {row["state"] for row in read_cells(folder)} == {"complete"}
        tried = {row["phases.l2"] for row in read_candidates(folder)}
        assert tried == {"0.001", "0.01", "0.1", "1", "10", "100"}
    trained = [line.partition(":")[0] for text in told for line in text.splitlines() if "; 1.0 s" in line]
    assert len(trained) == len(set(trained))
