"""Scores of an advice that were edited are not taken for those that were measured."""

import json
import shutil

import pytest

from tests.advice_report.samples import COMPLETE, change, write_sample
from tlmed.advice_doubts import check_measured, find_doubts
from tlmed.advice_report import read_advice
from tlmed.errors import InputError
from tlmed.run_files.advice_files import read_advice_json, write_advice, write_state
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
    (said,) = describe_advice(folder)
    assert "run is gone or not complete, and had auc" in said
    assert said.endswith("the same command trains it again.")


def test_the_score_without_copies_of_development_images_is_a_part_of_the_status(folder):
    content = read_advice_json(folder)
    content["answer"]["without_copies"] = {
        "leaked": 3,
        "n": 6,
        "metrics": {"auc": {"value": 0.25, "low": None, "high": None}},
    }
    write_advice(folder, content)
    assert describe_advice(folder)[0].endswith("test images, auc 0.250 on the 6 that repeat no development image.")


def note(folder, **noted):
    """Write what `advice.json` says of the seal as the notes of `state.json`, with some of them changed."""
    sealed = read_advice_json(folder)["sealed"]
    names = {"sealed": "sha256", "decided": "at", "opening": "opening_began_at", "opened": "test_scored_at"}
    done = {name: sealed.get(said) for name, said in names.items()} | noted
    done = {name: value for name, value in done.items() if value is not None}
    write_state(folder, {"asked": {}, "seconds": 5.0, "done": done})


@pytest.mark.parametrize(
    ("noted", "said"),
    [
        ({}, ""),
        ({"sealed": None}, "`decision.json` is there, and `state.json` notes nothing of it."),
        ({"opening": None}, "notes when the test images were scored, and not when that began."),
        ({"opening": None, "opened": None}, "`run` is there, which scores the test images, and `state.json` notes no"),
        ({"opened": "2026-11-28T00:00:00+00:00"}, "`advice.json` and `state.json` contradict each other in what was"),
        ({"sealed": "f" * 64}, "`advice.json` and `state.json` contradict each other in what was decided"),
    ],
)
def test_notes_that_contradict_each_other_or_the_advice_are_doubted(folder, noted, said):
    note(folder, **noted)
    doubts = find_doubts(folder, read_advice_json(folder))
    assert any(said in doubt for doubt in doubts) if said else doubts == []
    warned = describe_advice(folder)[:-1]
    assert warned == [f"Warning: {doubt}" for doubt in doubts]


def test_notes_of_an_unfinished_advice_that_contradict_each_other_are_doubted_too(folder):
    note(folder, opened=None, opening="2020-01-01T00:00:00+00:00")
    write_advice(folder, {**read_advice_json(folder), "state": "stopped", "answer": None})
    (warning, *_) = describe_advice(folder)
    assert warning == "Warning: The test images were opened before it was decided what to advise."
    note(folder, sealed=None)
    assert "notes that test images were opened, and no decision before" in " ".join(describe_advice(folder))


def test_a_note_that_is_no_time_is_refused_in_one_line(folder):
    note(folder, opening="noon")
    with pytest.raises(InputError, match="`opening` is no time with its offset from UTC: 'noon'"):
        describe_advice(folder)


@pytest.mark.parametrize("place", ["value", "low", "n", "metrics"])
def test_a_score_that_was_edited_in_the_advice_is_doubted(folder, place):
    content = read_advice_json(folder)
    content["answer"][place] = {} if place == "metrics" else 0.25 if place != "n" else 1
    write_advice(folder, content)
    said = "The test scores in `advice.json` are not those of `run/metrics.json`."
    assert read_advice(folder).doubts == (said,)
    assert describe_advice(folder)[:-1] == [f"Warning: {said}"]  # before the figure


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
