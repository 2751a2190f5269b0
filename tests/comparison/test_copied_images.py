"""Scores without the test images that repeat images a run learned from, near-copies too."""

import csv
import json
import shutil

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from tlmed.comparison.copied_images import measure_without_copies
from tlmed.rundir import RunDir


@pytest.fixture
def run(finished, tmp_path):
    """Give what is read of a finished run, whose check may be written anew."""
    for name in ("recipe.json", "plan.json", "metrics.json", "environment.json", "splits.csv", "predictions.csv"):
        shutil.copy(finished.path / name, tmp_path)
    return RunDir(tmp_path)


def write_check(run, *pairs):
    found = [{"kind": "near-copy", "level": "error", "files": list(pair), "text": "alike"} for pair in pairs]
    (run / "check.json").write_text(json.dumps({"findings": found}))


def read_rows(run, name, split):
    with (run / name).open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def test_near_copies_of_images_that_were_learned_from_are_left_out_of_the_scores(run):
    learned, tested = (read_rows(run, "splits.csv", split) for split in ("train", "test"))
    copied = [row["path"] for row in tested[:2]]
    write_check(run, *zip(copied, (row["path"] for row in learned), strict=False))
    found = measure_without_copies(run, run)
    left = [row for row in read_rows(run, "predictions.csv", "test") if row["path"] not in copied]
    assert (found["leaked"], found["n"]) == (2, len(left) == len(tested) - 2 and len(left))
    labels, classes = [row["label"] for row in left], sorted({row["label"] for row in learned})
    scores = np.array([[float(row[f"score_{name}"]) for name in classes] for row in left])
    aucs = [roc_auc_score(np.array(labels) == name, scores[:, place]) for place, name in enumerate(classes)]
    assert found["metrics"]["auc"]["value"] == pytest.approx(np.mean(aucs), abs=1e-6)
    right = accuracy_score(labels, [row["prediction"] for row in left])
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(right)


def test_without_copies_among_them_no_scores_are_measured_again(run):
    assert measure_without_copies(run, run) is None  # a run of an older version kept no check
    learned = [row["path"] for row in read_rows(run, "splits.csv", "train")]
    write_check(run, learned[:2])
    assert measure_without_copies(run, run) is None


def test_where_each_test_image_is_a_copy_none_is_left_to_score(run):
    tested = [row["path"] for row in read_rows(run, "splits.csv", "test")]
    write_check(run, [read_rows(run, "splits.csv", "train")[0]["path"], *tested])
    assert measure_without_copies(run, run) == {"leaked": len(tested), "n": 0, "metrics": {}}
