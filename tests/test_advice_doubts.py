"""Scores of an advice that were edited are not taken for those that were measured."""

import json
import re
import shutil
import zipfile

import pytest

from tests.advice_report.samples import COMPLETE, change, write_notes, write_sample
from tests.cli.test_cli import here
from tests.report.test_report import Reader
from tlmed.advice_doubts import check_measured, find_changes, find_doubts
from tlmed.advice_report import describe_advice as describe_terminal
from tlmed.advice_report import read_advice
from tlmed.advice_report.advice_page import make_advice_page
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
    for name in ("recipe.py", "recipe.json", "metrics.json", "predictions.csv", "model.keras", "lock.json"):
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
    write_notes(folder, read_advice_json(folder), **noted)


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


def status_of(folder):
    """Return what `tlmed status` prints before the answer, and after it."""
    status, out, err = here("status", folder)
    assert (status, err) == (0, "")
    before, _, after = " ".join(out.split()).partition(f"{folder}: an advice: complete")
    return before.strip(), after.partition("test images. ")[2]


def test_what_lies_in_a_complete_advice_as_it_was_written_is_not_remarked(folder):
    assert find_changes(folder, read_advice_json(folder)) == []
    assert status_of(folder) == ("", "")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("run/model.keras", "`run/model.keras` is gone: the network that has these scores cannot be used any more."),
        ("tried/VGG16-fold02", "1 of 2 runs of VGG16 in `tried` is gone or not complete."),
        ("tried", "`tried` is gone, with the runs of 6 scores on development images."),
        ("state.json", "`state.json` is gone: `advice.json` alone says when it was decided"),
        ("check.html", "`check.html` is gone, the page of the check of the data."),
    ],
)
def test_a_part_of_a_complete_advice_that_is_gone_is_said(folder, name, said):
    (folder / name).rename(folder.parent / "elsewhere")
    before, after = status_of(folder)
    assert (before.startswith(f"Warning: {said}"), before.count("Warning"), after) == (True, 1, "")
    record = read_advice(folder)
    assert record.doubts == ()
    assert record.changes[0] in " ".join(describe_terminal(record)[1:3])
    lead = make_advice_page(record).partition("<nav")[0]
    assert record.changes[0].replace("`", "") in re.sub("<[^>]+>", "", lead)
    assert "that nothing was decided by" in lead


def test_another_network_and_other_scores_of_a_trial_are_remarked(folder):
    model = folder / "run" / "model.keras"
    with zipfile.ZipFile(model) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(model, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b"Dropout", b"Dropped"))
    scores = folder / "tried" / "VGG16-fold01" / "metrics.json"
    scores.write_text(scores.read_text().replace("0.871", "0.891"))
    network, trial = find_changes(folder, read_advice_json(folder))
    assert network.startswith("The network may not be the one that was scored.")
    assert "where model.keras is not as recorded" in network
    assert trial == (
        "The score of VGG16 on development images is 0.881 in its runs in `tried`, and was 0.871 when all was decided."
    )
    scores.write_text("{}")
    assert find_changes(folder, read_advice_json(folder))[1].startswith(
        "The score of VGG16 may not be the one that was measured"
    )


def test_a_page_that_is_gone_is_remarked_where_it_is_looked_for(folder):
    (folder / "advice.html").unlink()
    assert status_of(folder) == ("Warning: `advice.html` is gone: the same command writes it anew.", "")
    assert read_advice(folder).changes == ()  # of the page that is being written


@pytest.mark.parametrize(
    ("old", "new"),
    [('"gain": {', '"gain":  {'), ('"dropped"', '"kept"'), ('"yes"', '"unsure"'), ('"seconds": 71', '"seconds": 17')],
)
def test_an_advice_that_was_edited_anywhere_is_remarked(folder, old, new):
    content, file = read_advice_json(folder), folder / "advice.json"
    write_advice(folder, content, lambda digest: note(folder, written=digest))
    assert status_of(folder) == ("", "")
    file.write_text(file.read_text().replace(old, new, 1))
    said = "`advice.json` is not as it was written: it was edited. The same command writes it anew."
    assert status_of(folder) == (f"Warning: {said}", "")
    assert read_advice(folder).changes == (said,)


def test_an_edited_run_that_no_score_names_is_remarked(folder):
    draw = folder / "tried" / "VGG16-draw2-fold01"
    shutil.copytree(folder / "run", draw)
    (folder / "tried" / "VGG16-draw3-fold01").mkdir()  # of a command that was killed
    assert status_of(folder) == ("", "")
    (draw / "predictions.csv").write_text("path\n")
    before, _ = status_of(folder)
    assert before.startswith("Warning: `tried/VGG16-draw2-fold01` is not as it was written.")
    assert (before.count("Warning"), "predictions.csv" in before) == (1, True)


def test_who_edits_the_recipe_reads_which_recipe_was_scored_and_no_warning(folder):
    file = folder / "recipe.py"
    file.write_text("# mine\n")
    said = "`recipe.py` differs from the one that was decided; the scores are of `run/recipe.py`."
    assert status_of(folder) == ("", said)
    record = read_advice(folder)
    assert (record.edited, record.doubts, record.changes) == (said, (), ())
    assert said.replace("`", "") in Reader(make_advice_page(record)).text.replace("\n", " ")
    file.unlink()
    assert status_of(folder) == ("", "`recipe.py` is gone; the scores are of `run/recipe.py`.")
    write_advice(folder, {**read_advice_json(folder), "state": "stopped", "answer": None})
    assert describe_advice(folder)[1] == (
        "`recipe.py` is gone; the advice goes on only if the one that was decided is put back."
    )
