"""A study from its first cell to its tables; the cells take no time."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.studies.conftest import small
from tlmed.errors import InputError
from tlmed.run_files.study_files import list_told, read_cells, read_scores
from tlmed.studies.ledger import Ledger


def states(folder):
    return [row["state"] for row in read_cells(folder)]


def test_every_cell_is_trained_once_and_its_scores_are_in_both_tables(sweeping):
    folder, shown = sweeping()
    rows, scores = read_cells(folder), read_scores(folder)
    assert states(folder) == ["complete"] * 8
    assert "Cells: 8 complete of 8." in shown
    assert len(scores) == 8 * 5  # two metrics and three costs
    for row in rows:
        run = folder / row["run"]
        of_cell = {score["metric"]: score["value"] for score in scores if score["cell"] == row["cell"]}
        assert (run / "metrics.json").exists()
        assert of_cell["auc"] == row["auc"] == row["accuracy"]
        assert float(of_cell["total_seconds"]) == float(row["seconds"]) == 1.0
    assert {row["backbone"] for row in rows} == {"LeNet5", "AlexNet"}
    assert {row["weights"] for row in rows if row["backbone"] == "AlexNet"} == {"none"}


def test_the_same_command_trains_nothing_twice_and_a_study_may_grow(sweeping):
    folder, _ = sweeping()
    before = {run.parent.name: run.stat().st_mtime_ns for run in (folder / "runs").glob("*/metrics.json")}
    folder, shown = sweeping(small(seeds=3))
    assert states(folder) == ["complete"] * 12
    assert shown.count("auc") == 4
    after = {run.parent.name: run.stat().st_mtime_ns for run in (folder / "runs").glob("*/metrics.json")}
    assert before.items() <= after.items()


def test_a_cell_that_fails_is_told_and_tried_again_by_the_next_command(sweeping):
    folder, shown = sweeping(words=("fail",))
    failed = [row for row in read_cells(folder) if row["state"] == "failed"]
    assert {(row["backbone"], row["seed"], row["reason"]) for row in failed} == {
        ("LeNet5", "1", "no weights for LeNet5")
    }
    assert states(folder).count("complete") == 6
    assert "Warning: fine_tuning-LeNet5-seed1: no weights for LeNet5" in " ".join(shown.split())
    assert not {row["cell"] for row in failed} & {row["cell"] for row in read_scores(folder)}
    folder, _ = sweeping()
    assert states(folder) == ["complete"] * 8


def test_a_cell_is_trained_alone_by_one_of_several_tasks_of_a_cluster(sweeping, monkeypatch):
    task = {"SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "1", "SLURM_STEP_NODELIST": "node1", "SLURM_JOB_ID": "7"}
    workers = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}
    for name, value in (task | {"TF_CONFIG": json.dumps(workers)}).items():
        monkeypatch.setenv(name, value)
    folder, _ = sweeping(small(recipes=("lora",), backbones=("LeNet5",), seeds=1), jobs=1)
    assert [(row["state"], row["reason"]) for row in read_cells(folder)] == [("complete", "")]


def test_a_process_that_dies_takes_only_its_own_cell_with_it(sweeping):
    folder, _ = sweeping(words=("crash",))
    rows = read_cells(folder)
    assert {row["state"] for row in rows if row["seed"] == "0"} == {"complete"}
    assert {row["state"] for row in rows if row["seed"] == "1"} == {"failed"}
    assert {row["reason"] for row in rows if row["seed"] == "1"} == {"its process was ended by SIGABRT"}


@pytest.mark.parametrize("kind", ["other", "other train"])
def test_cells_with_other_images_are_not_compared(kind, sweeping):
    folder, _ = sweeping(words=(kind,), jobs=1)
    rows = read_cells(folder)
    assert {row["seed"] for row in rows if row["state"] == "complete"} == {"0"}
    assert all("cannot be compared" in row["reason"] for row in rows if row["seed"] == "1")


def test_a_directory_belongs_to_one_study_of_one_source(sweeping, tmp_path):
    sweeping()
    with pytest.raises(InputError, match=r"a study of other data.*'images' there, 'others' here"):
        sweeping(data="others")
    with pytest.raises(InputError, match=r"keeps the cells that it has.*without fine_tuning-LeNet5-seed0"):
        sweeping(small(recipes=("feature_extractor",)))
    with pytest.raises(InputError, match=r"whose recipes differ"):
        sweeping(small(settings={"phases.epochs": 3}))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"a new or empty directory, or a study's"):
        sweeping(folder=tmp_path / "other")


def test_a_budget_begins_no_cell_that_would_end_later(sweeping):
    with pytest.raises(
        InputError, match=r"and for one cell. Received: 50 s; with the shortest cell, this takes about 1 min 4"
    ):
        sweeping(budget=50.0)
    folder, shown = sweeping(budget=150.0, jobs=1)
    # The first cell takes 1 s instead of 100, so that all others are expected to take so long, too.
    assert states(folder) == ["complete"] * 8
    assert "budget is spent" not in shown


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.studies.conftest import program, small
from tlmed import stopping
from tlmed.screen import Screen
from tlmed.studies import Order, run_cells, worker_pool
worker_pool.PROGRAM = program({seconds})
stopping.listen()
run_cells(small(seeds=4).expand("images"), Order(Path(sys.argv[1]), jobs=2), Screen(sys.stdout, waits=False))
"""


def start(folder, seconds=0.1):
    script = SCRIPT.format(root=str(Path(__file__).parents[2]), seconds=seconds)
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def kill(process):
    """Kill a command and its workers, which have sessions of their own."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def without_seconds(folder):
    with (folder / "study.csv").open() as stream:
        return [row for row in csv.reader(stream) if "seconds" not in row[6]]


@pytest.mark.parametrize("moments", [(6, 10), pytest.param(tuple(range(4, 24)), marks=pytest.mark.slow, id="twenty")])
def test_a_study_that_was_killed_again_and_again_ends_as_one_that_was_not(moments, tmp_path):
    whole = start(tmp_path / "whole")
    assert (whole.communicate(), whole.returncode)[1] == 0
    killed = tmp_path / "killed"
    for tenths in moments:
        process = start(killed)
        time.sleep(tenths / 10)
        kill(process)
    last = start(killed)
    said = last.communicate()[0].decode()
    assert last.returncode == 0, said
    assert states(killed) == ["complete"] * 16
    assert without_seconds(killed) == without_seconds(tmp_path / "whole")


def test_a_study_that_is_asked_to_stop_lets_its_cells_save_and_goes_on_later(tmp_path):
    process = start(tmp_path / "study", seconds=2.0)
    lines = iter(process.stdout.readline, b"")
    assert any(b"Study" in line for line in lines)
    time.sleep(1.0)  # both workers have a cell by now
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[0].decode()
    assert "Terminated" in said.splitlines()[-1]
    assert "2 cells will save what they have" in said
    assert states(tmp_path / "study") == ["waiting"] * 16
    last = start(tmp_path / "study")
    last.communicate()
    assert states(tmp_path / "study") == ["complete"] * 16


def test_what_the_images_are_is_said_once_kept_and_shown(sweeping):
    study = small(backbones=("LeNet5",), seeds=2)
    folder, shown = sweeping(study, words=("read fails",), skip_bad=True)  # of the first recipe: its cells say why
    said = ["Images: 9 from images", "1 image cannot be read and is left out"]
    assert list_told(folder) == said
    assert all(shown.count(each) == 1 for each in said)
    folder, shown = sweeping(small(backbones=("LeNet5",), seeds=3))  # what it says was said when it began
    assert all(shown.count(each) == 1 for each in said)
    folder, shown = sweeping(small(backbones=("LeNet5",), seeds=3))
    assert "Images:" not in shown


def test_what_each_of_the_weights_knows_is_said_and_whose_the_images_are(sweeping, tmp_path):
    study = small(recipes=("feature_extractor",), backbones=("LeNet5=imagenet", "LeNet5=base"), seeds=1)
    folder, _ = sweeping(study, ("taught base",))
    assert list_told(folder) == ["Images: 9 from images", "With LeNet5=base: 9 test images are known."]
    study = small(seeds=1, backbones=("LeNet5",), vary={"data.train_share": (0.3, 1.0)}, folds=2)
    folder, _ = sweeping(study, folder=tmp_path / "shares")
    said = "These are the images of fold 1 of data.train_share=0.3; `data.train_share` varies, and they with it."
    assert list_told(folder) == ["Images: 9 from images", said]


def test_a_cell_that_was_entered_twice_is_trained_once(tmp_path):
    ledgers = [Ledger(tmp_path, None, "study") for _ in range(2)]
    for ledger in ledgers:
        ledger._add("cell")  # as two commands do that begin at the same moment
    first, second = (ledger._take(number, "cell") for ledger, number in zip(ledgers, (0, 1), strict=True))
    assert first
    assert second
    trials = ledgers[0].storage.get_all_trials(ledgers[0].study)
    assert [ledgers[0]._is_double(trial, "cell") for trial in trials] == [False, True]
    for ledger in ledgers:
        ledger.close()


def test_a_cell_that_nobody_has_is_entered_again(tmp_path):
    ledger = Ledger(tmp_path, None, "study")
    ledger.enter(["cell"], again=False)
    trial, _ = ledger.claim(lambda name: True)
    ledger._end(trial, TrialState.FAIL, reason="double")  # its process ended before it could enter the cell again
    assert ledger.claim(lambda name: True) is None
    ledger.enter(["cell"], again=False)
    assert ledger.claim(lambda name: True)[1] == "cell"
    ledger.close()


def test_two_commands_in_one_directory_share_the_work(tmp_path):
    first, second = start(tmp_path / "study"), start(tmp_path / "study")
    said = [process.communicate()[0].decode() for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    trained = [line.partition(":")[0] for text in said for line in text.splitlines() if "auc" in line]
    assert len(trained) == len(set(trained)) == 16
    assert states(tmp_path / "study") == ["complete"] * 16


def test_images_that_change_between_two_commands_are_noticed_in_folds_that_were_not_begun(sweeping):
    study = small(recipes=("lora",), backbones=("LeNet5",), seeds=1, folds=3)
    folder, _ = sweeping(study, jobs=1, words=("one fold",))
    assert [row["state"] for row in read_cells(folder)] == ["complete", "failed", "failed"]
    sweeping(study, jobs=1, words=("changed",))
    rows = read_cells(folder)
    assert [row["state"] for row in rows] == ["complete", "failed", "failed"]
    assert all("cannot be compared" in row["reason"] for row in rows[1:])
