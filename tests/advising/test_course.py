import contextlib
import dataclasses
import errno
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import tlmed
from tests.advice_report.samples import COMPLETE, write_sample
from tests.gate.made_evidence import make_evidence
from tlmed.advising import course, diary, first_look, team
from tlmed.advising.at_hand import read_networks
from tlmed.advising.development_fingerprint import Fingerprint
from tlmed.advising.diary import open_diary
from tlmed.advising.request import Request
from tlmed.errors import InputError, RunFailed
from tlmed.recipe import load_recipe
from tlmed.run_files.advice_files import read_advice_json, seal_decision
from tlmed.run_files.advice_seal import now, read_seal


class Silent:
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def told(monkeypatch):
    """Give the requests that were told, and let each end as a test says."""
    seen = []

    def tell(story, screen, voice):
        seen.append(story.request)
        raise InputError("the decision was changed")

    monkeypatch.setattr(course, "_tell", tell)
    monkeypatch.setattr(course, "open_diary", lambda request: contextlib.nullcontext())
    return seen


def ask(folder: Path, budget: float | None) -> str:
    request, screen = Request(load_recipe("feature_extractor"), folder, budget=budget), Silent()
    with pytest.raises(InputError):
        course.make_advice(request, screen, None)
    return " ".join(screen.lines)


def test_a_complete_advice_keeps_its_own_budget_whatever_the_command_says(told, tmp_path):
    folder = write_sample(tmp_path, COMPLETE)
    assert ask(folder, 60.0) == ""
    for larger in (7200.0, None):
        assert "holds a complete advice. It took 12 min 22 s of 30 min: 34 s for the check" in ask(folder, larger)
    assert told[0].budget == COMPLETE["budget"] == read_advice_json(folder)["budget"] != 60.0


def test_doubts_about_a_complete_advice_come_on_its_page(told, tmp_path):
    folder = write_sample(tmp_path, COMPLETE)
    decision = folder / "decision.json"
    decision.write_text(json.dumps({**json.loads(decision.read_text()), "edited": True}))
    before = read_advice_json(folder)
    ask(folder, 60.0)
    assert read_advice_json(folder) == before
    assert "decision.json" in (folder / "advice.html").read_text().partition("<h2")[0]


def test_an_error_does_not_take_back_the_steps_that_were_written_down(monkeypatch, tmp_path):
    folder = write_sample(tmp_path, {**COMPLETE, "state": "stopped", "answer": None, "verdict": None})

    def tell(story, screen, voice):
        story.data, story.gate = COMPLETE["data"], COMPLETE["gate"]
        raise InputError("the decision was changed")

    monkeypatch.setattr(course, "_tell", tell)
    opened = SimpleNamespace(seconds=5.0, done={}, note=lambda **parts: None)
    monkeypatch.setattr(course, "open_diary", lambda request: contextlib.nullcontext(opened))
    monkeypatch.setattr(course.Story, "to_json", lambda story: {**read_advice_json(folder), "steps": story.steps})
    with pytest.raises(InputError):
        course.make_advice(Request(load_recipe("feature_extractor"), folder), Silent(), None)
    assert read_advice_json(folder)["steps"] == COMPLETE["steps"]


def test_the_seal_and_the_opening_are_written_down_before_the_answer_is_trained(monkeypatch, tmp_path):
    request, written = Request(load_recipe("feature_extractor"), tmp_path / "out"), []

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(course.opening, "open_test", stop)
    monkeypatch.setattr(course, "from_json", dict)
    monkeypatch.setattr(course, "write_all", lambda story: written.append(story.to_json()["sealed"]))
    with open_diary(request) as diary:
        (request.folder / "recipe.py").write_text("")
        digest = hashlib.sha256(b"").hexdigest()
        decision = {"at": now(), "recipe_sha256": digest, "steps": [], "experience": None, "attempt": "", "recipe": {}}
        seal_decision(request.folder, decision, lambda digest: diary.note(sealed=digest, decided=decision["at"]))
        work = SimpleNamespace(request=request, diary=diary, screen=Silent())
        with pytest.raises(KeyboardInterrupt):
            course._open(work, course.Story(request, diary), decision)
    assert [bool(seal["opening_began_at"]) for seal in written] == [False, True]
    assert read_seal(request.folder) == written[-1]
    assert written[-1]["test_scored_at"] is None


def test_weights_that_were_trained_on_development_images_are_refused(monkeypatch, tmp_path):
    images = object()

    def say(weights, backbone, seen):
        assert seen is images
        return [f"base was trained on 5 of the 8 {backbone} images"] if weights == "base" else []

    monkeypatch.setattr(first_look, "say_taught", say)
    recipe = load_recipe("feature_extractor")
    with pytest.raises(InputError, match=r"Received: LeNet5=base: base was trained on 5 of the 8 LeNet5 images\."):
        first_look.refuse_taught(Request(recipe, tmp_path, networks=("VGG16", "LeNet5=base")), images)
    first_look.refuse_taught(Request(recipe, tmp_path, networks=("VGG16", "LeNet5=digits")), images)


def test_rules_follow_from_the_budget_of_a_later_command_until_something_was_tried(tmp_path):
    detail = {64: 0.24, 128: 0.6, 224: 0.9, 320: 1.0}
    found = Fingerprint(
        "single-label", 663, {"a": 371, "b": 292}, 1.3, None, None, 663, 292, 256, 256, True, 84.1, 52.3, detail
    )
    done = {"fingerprint": found.to_json() | {"features": "MobileNetV2"}}
    diary = SimpleNamespace(done=done, note=done.update)
    recipe = load_recipe("feature_extractor")

    def size(budget):
        course._set_rules(Request(recipe, tmp_path, budget=budget), diary)
        return next(rule["settings"] for rule in done["rules"] if rule["name"] == "image size")

    small, large = size(60.0), size(3 * 3600.0)
    assert small["data.image_size"] != large["data.image_size"] == (224, 224)
    (tmp_path / "tried" / "probe-MobileNetV2-fold01").mkdir(parents=True)
    assert size(60.0) == large


def test_a_backbone_that_does_not_exist_is_refused_before_the_check():
    with pytest.raises(InputError, match="NoNet"):
        read_networks(["VGG16", "NoNet=imagenet"])


def test_what_the_answer_and_its_trials_say_of_each_label_goes_into_the_verdict():
    good, low = {"value": 0.95, "low": 0.9, "high": 1.0}, {"value": 0.13, "low": 0.07, "high": 0.24}
    middle = {"value": 0.55, "low": 0.5, "high": 0.61}
    story = course.Story(None, None, data={"task": "multi-label", "test_drawn": False}, answer={})
    result = {"task": "multi-label", "classes": ["mass", "noise"], "metrics": {"auc": middle}}
    result["per_class"] = {"mass": {"auc": good}, "noise": {"auc": low}}
    decision = {"found_auc": good, "found_parts": {"mass": good, "noise": good}}
    verdict = course._compare_parts(story, decision, {"learnable": "yes", "says": []}, result, "")
    assert story.difference["value"] == pytest.approx(0.4)
    assert [each["shown"] for each in story.parts] == [True, False]
    assert [said[:40] for said in verdict["apart"][::2]] == [
        "Development and test images contradict e",
        "Development and test images differ by mo",
    ]
    assert "'noise'" in verdict["warnings"][0]
    # A decision of an earlier version has no scores of labels.
    verdict = course._compare_parts(
        story, {**decision, "found_parts": {}}, {"learnable": "yes", "says": []}, result, ""
    )
    assert (story.parts, verdict["warnings"]) == ([], [])


@pytest.mark.parametrize("place", ["scans/ill", "scans/ill/advice", "scans/well/new/advice"])
def test_an_advice_is_not_written_among_the_images_of_a_table(place, tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    paths = tuple(f"scans/{label}/{number}.png" for label in ("ill", "well") for number in range(3))
    table = make_evidence(paths, root=tmp_path).table
    subject = SimpleNamespace(images=SimpleNamespace(table=table), words=())
    monkeypatch.setattr(course, "open_images", lambda request, voice: subject)
    recipe = load_recipe("feature_extractor")
    recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, source=str(tmp_path / "scans.csv")))
    with pytest.raises(InputError, match=r"`--out` must not be in a folder of the images.* Received: .*, in .*scans/"):
        course.make_advice(Request(recipe, tmp_path / place), Silent(), None)
    assert not (tmp_path / place).exists()


def test_an_advice_may_lie_beside_the_folders_of_images(tmp_path):
    table = make_evidence(("scans/ill/1.png", "scans/well/2.png"), root=tmp_path).table
    diary.refuse_among(tmp_path / "scans" / "advice", first_look.list_places(table))
    assert first_look.list_places(make_evidence(("train/1", "train/2")).table) == []  # of an archive


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_ends_an_advice_in_one_line_and_the_same_command_goes_on(
    number, tmp_path, monkeypatch
):
    request, full, write = Request(load_recipe("feature_extractor"), tmp_path / "out"), [], diary.write_state

    def write_state(folder, content):
        if full:
            raise OSError(number, os.strerror(number))
        write(folder, content)

    def tell(story, screen, voice):
        story.diary.note(images={})
        full.append(True)
        story.diary.note(gate={})

    monkeypatch.setattr(diary, "write_state", write_state)
    monkeypatch.setattr(course, "_tell", tell)
    for _ in range(2):  # the second time nothing at all can be written
        with pytest.raises(RunFailed) as failed:
            course.make_advice(request, Silent(), None)
        (said,) = failed.value.faults
        assert "must be on a disk that can be written to and has room; the same command goes on once it is" in said
        assert os.strerror(number) in said
    full.clear()
    with open_diary(request) as opened:
        assert opened.done == {"images": {}}


def test_a_trial_that_a_full_disk_ended_decides_nothing():
    with pytest.raises(RunFailed, match=r"left for /tmp/x\. The advice goes on with the same command\."):
        team._refuse_full_disk("The disk must have room for the run. Received: no space left for /tmp/x.")
    assert team._refuse_full_disk("The loss is NaN.") == "The loss is NaN."


@pytest.mark.parametrize("budget", ["2m", 0, -5])
def test_a_budget_that_is_no_number_of_seconds_is_refused_at_once(budget, tmp_path):
    with pytest.raises(InputError, match=r"`budget` must be seconds, a number above 0, or None\. Received: "):
        tlmed.advise(tmp_path, tmp_path / "out", budget=budget)
    assert not (tmp_path / "out").exists()
