import dataclasses
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.advice_report.samples import COMPLETE, write_sample
from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import Attempt, Log
from tlmed.advising.climbing import Choice
from tlmed.advising.diary import open_diary
from tlmed.advising.first_look import check_unchanged
from tlmed.advising.goals import read_goal
from tlmed.advising.opening import check_seal, recall_sealed, seal
from tlmed.advising.request import Request, refuse_decided
from tlmed.errors import InputError
from tlmed.recipe import load_recipe
from tlmed.run_files.advice_files import digest_decision, read_state
from tlmed.run_files.advice_seal import now, read_seal


@pytest.fixture
def request_here(tmp_path):
    return Request(load_recipe("feature_extractor"), tmp_path / "advice", 600.0)


def test_what_was_done_is_there_for_the_next_command(request_here):
    with open_diary(request_here) as diary:
        diary.note(gate={"errors": 0})
        ended = diary.stamp("probe")
    with open_diary(request_here) as diary:
        assert diary.done["gate"] == {"errors": 0}
        assert diary.stamp("probe") == ended
        assert diary.seconds >= ended


def test_a_command_for_a_complete_advice_adds_no_time_to_it(request_here):
    with open_diary(request_here) as diary:
        diary.note(gate={})
    write_sample(request_here.folder, COMPLETE)
    for _ in range(2):
        with open_diary(request_here) as diary:
            assert diary.seconds == COMPLETE["seconds"]
    assert read_state(request_here.folder)["seconds"] == COMPLETE["seconds"]


@pytest.mark.parametrize("place", ["scans", "scans/ill", "scans/ill/new"])
def test_an_advice_is_not_written_among_the_images(request_here, tmp_path, place):
    scans = tmp_path / "scans"
    (scans / "ill").mkdir(parents=True)
    data = dataclasses.replace(request_here.recipe.data, source=str(scans))
    request = dataclasses.replace(request_here, recipe=dataclasses.replace(request_here.recipe, data=data))
    with (
        pytest.raises(InputError, match="must not be in a folder of the images"),
        open_diary(dataclasses.replace(request, folder=tmp_path / place)),
    ):
        pass
    assert list(scans.rglob("*")) == [scans / "ill"]
    with open_diary(dataclasses.replace(request, folder=tmp_path / "scans-advice")):
        pass


def test_a_larger_budget_goes_on_and_another_goal_or_other_images_do_not(request_here):
    with open_diary(request_here) as diary:
        diary.note(gate={})
    with open_diary(dataclasses.replace(request_here, budget=1200.0, accept=True)):
        pass
    with (
        pytest.raises(InputError, match=r"another request.*goal"),
        open_diary(dataclasses.replace(request_here, goal=read_goal("accuracy"))),
    ):
        pass
    data = dataclasses.replace(request_here.recipe.data, source="elsewhere/")
    other = dataclasses.replace(request_here, recipe=dataclasses.replace(request_here.recipe, data=data))
    with pytest.raises(InputError, match="with other data"), open_diary(other):
        pass


def test_a_request_that_is_refused_before_anything_was_seen_leaves_no_directory(request_here):
    with pytest.raises(InputError, match="no images"), open_diary(request_here):
        raise InputError("There are no images.")
    assert not request_here.folder.exists()
    with open_diary(request_here) as diary:
        diary.note(gate={})
    assert request_here.folder.exists()


def test_two_commands_do_not_work_in_one_directory(request_here):
    with open_diary(request_here), pytest.raises(InputError, match="no other process"), open_diary(request_here):
        pass


def test_a_directory_of_something_else_is_left_alone(request_here):
    request_here.folder.mkdir()
    (request_here.folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="new or empty directory, or an advice's"), open_diary(request_here):
        pass
    assert [path.name for path in request_here.folder.iterdir()] == ["notes.txt"]


def test_images_that_changed_since_the_beginning_are_refused(tmp_path):
    known = {"development": "a", "test": "b"}
    check_unchanged(None, known, tmp_path)
    check_unchanged(known, dict(known), tmp_path)
    with pytest.raises(InputError, match="other test images"):
        check_unchanged(known, {**known, "test": "c"}, tmp_path)


def test_test_images_stay_closed_for_a_recipe_that_was_not_sealed(tmp_path):
    (tmp_path / "recipe.py").write_text("decided\n")
    digest = "5a66f07c5b1b4e48a5b5fbdbda61a4a1ac6c1d9b4ef4ac1a0ad0ebc5f6e9a3ab"
    with pytest.raises(InputError, match="one that was decided"):
        check_seal(tmp_path, {"recipe_sha256": digest})
    check_seal(tmp_path, {"recipe_sha256": hashlib.sha256(b"decided\n").hexdigest()})


def decide(diary, **folds):
    """Seal a decision, as an advice does; it is of a recipe whose code is empty."""
    trial = SimpleNamespace(recipe=load_recipe("feature_extractor"))
    work = SimpleNamespace(request=SimpleNamespace(folder=diary.folder), diary=diary, base=trial.recipe)
    return seal(work, Choice(answer := SimpleNamespace(trial=trial, name="probe"), answer, **folds), "", {})


@pytest.mark.parametrize("kind", ["folds", "folds_of_head"])
def test_test_images_stay_closed_for_networks_that_were_not_sealed(request_here, kind):
    network = request_here.folder / "tried" / "probe-fold01" / "model.keras"
    with open_diary(request_here) as diary:
        network.parent.mkdir(parents=True)
        network.write_bytes(b"decided")
        decision = decide(diary, **{kind: ("probe-fold01",)})
    check_seal(request_here.folder, decision)
    check_seal(request_here.folder, {**decision, "networks": {}})
    network.write_bytes(b"exchanged")
    with pytest.raises(InputError, match="networks of folds must be those that were decided on") as refused:
        check_seal(request_here.folder, decision)
    assert hashlib.sha256(b"exchanged").hexdigest() in str(refused.value)
    network.unlink()
    with pytest.raises(InputError, match="which is gone"):
        check_seal(request_here.folder, decision)


def test_a_decision_that_was_changed_after_it_was_sealed_is_refused(request_here):
    with open_diary(request_here) as diary:
        assert recall_sealed(diary) is None
        decision = decide(diary)
    with open_diary(request_here) as diary:
        assert recall_sealed(diary) == decision
        file = diary.folder / "decision.json"
        file.write_text(file.read_text().replace("probe", "whole"))
        with pytest.raises(InputError, match="one that was sealed"):
            recall_sealed(diary)
        diary.note(opening=now())
        file.unlink()
        with pytest.raises(InputError, match="which is gone"):
            recall_sealed(diary)


def test_a_process_that_ends_while_it_seals_leaves_nothing_that_another_file_could_stand_for(request_here, monkeypatch):
    file, noted = request_here.folder / "decision.json", []
    with open_diary(request_here) as diary:
        note = diary.note

        def stop(**parts):  # right after the digest is written down
            note(**parts)
            noted.append(file.exists())
            raise KeyboardInterrupt

        monkeypatch.setattr(diary, "note", stop)
        with pytest.raises(KeyboardInterrupt):
            decide(diary)
        monkeypatch.setattr(diary, "note", note)
    assert noted == [False]
    assert read_seal(request_here.folder) is None
    with open_diary(request_here) as diary:
        assert recall_sealed(diary) is None  # nothing was opened, so it decides anew
        file.write_text(json.dumps({"at": now(), "attempt": "of somebody else"}))
        with pytest.raises(InputError, match="one that was sealed"):
            recall_sealed(diary)
        file.unlink()
        assert decide(diary) == recall_sealed(diary)
    assert read_seal(request_here.folder)["sha256"] == digest_decision(request_here.folder)


def test_a_decision_of_which_nothing_was_noted_is_not_taken_for_a_sealed_one(request_here):
    with open_diary(request_here) as diary:
        decide(diary)
        for noted in ("sealed", "decided"):
            del diary.done[noted]
        with pytest.raises(InputError, match=r"decision\.json, of which `state\.json` notes nothing"):
            recall_sealed(diary)


def test_the_time_of_a_step_is_that_of_the_work_and_not_of_its_trainings():
    network = Network("VGG16", "imagenet")
    log = Log(Path("tried"), 10.0)
    log.add(Attempt("probes", "one", network, seconds=3.0, ended=25.0))
    log.add(Attempt("probes", "two", network, seconds=3.0, ended=40.0))
    log.add(Attempt("thawing", "three", network))
    log.add(Attempt("all layers", "four", network, seconds=3.0, ended=100.0))
    assert [(step["step"], step["seconds"]) for step in log.to_json()] == [
        ("probes", 30.0),
        ("thawing", 0.0),
        ("all layers", 60.0),
    ]


def test_what_an_advice_decides_cannot_be_set():
    refuse_decided(("data.image_size=64,64", "data.label_column=finding"))
    with pytest.raises(InputError, match=r"Received: backbone, phases\.0\.epochs"):
        refuse_decided(("backbone=VGG16", "phases.0.epochs=3", "threshold=0.5"))
