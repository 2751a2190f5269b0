"""Scores of an advice that were edited are not taken for those that were measured."""

import json
import shutil

import pytest

from tests.advice_report.samples import COMPLETE, change, write_sample
from tlmed.advice_doubts import check_measured, find_doubts
from tlmed.advice_report import read_advice
from tlmed.errors import InputError
from tlmed.run_files.advice_files import read_advice_json, write_advice
from tlmed.rundir import RunDir
from tlmed.status import describe_advice


@pytest.fixture
def folder(finished, tmp_path):
    """Give a complete advice, whose answer is a finished run."""
    found = finished.metrics
    entry = {part: found["metrics"]["auc"].get(part) for part in ("value", "low", "high", "method")}
    answer = {"path": "run", "metric": "auc", "n": found["n"], **entry}
    write_sample(tmp_path / "advice", change(COMPLETE, answer=answer))
    content = read_advice_json(tmp_path / "advice")
    content["answer"]["metrics"] = found["metrics"]
    write_advice(tmp_path / "advice", content)
    (tmp_path / "advice" / "run").mkdir()
    for name in ("recipe.json", "metrics.json", "predictions.csv", "lock.json"):
        shutil.copy(finished.path / name, tmp_path / "advice" / "run")
    return tmp_path / "advice"


def test_scores_that_are_those_of_the_run_are_not_doubted(folder):
    assert find_doubts(folder, read_advice_json(folder)) == []
    assert len(describe_advice(folder)) == 1
    shutil.rmtree(folder / "run")  # which takes the proof away, and changes no score
    assert find_doubts(folder, read_advice_json(folder)) == []


@pytest.mark.parametrize("place", ["value", "low", "n", "metrics"])
def test_a_score_that_was_edited_in_the_advice_is_doubted(folder, place):
    content = read_advice_json(folder)
    content["answer"][place] = {} if place == "metrics" else 0.25 if place != "n" else 1
    write_advice(folder, content)
    said = "The test scores in `advice.json` are not those of `run/metrics.json`."
    assert read_advice(folder).doubts == (said,)
    assert describe_advice(folder)[1:] == [f"Warning: {said}"]


@pytest.mark.parametrize("name", ["metrics.json", "predictions.csv"])
def test_a_file_of_the_run_that_was_edited_is_refused_and_doubted(folder, name):
    file = folder / "run" / name
    if name == "metrics.json":
        content = json.loads(file.read_text())
        content["metrics"]["auc"]["value"] = 0.999
        file.write_text(json.dumps(content))
    else:
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=f"A run of an advice must have its files .*{name} is not as recorded"):
        check_measured(RunDir(folder / "run"))
    (doubt,) = read_advice(folder).doubts
    assert name in doubt
    assert doubt.startswith("The test scores may not be those that were measured.")
