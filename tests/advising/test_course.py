import contextlib
import json
from pathlib import Path

import pytest

from tests.advice_report.samples import COMPLETE, write_sample
from tlmed.advising import course, first_look
from tlmed.advising.request import Request
from tlmed.errors import InputError
from tlmed.recipe import load_recipe
from tlmed.run_files.advice_files import read_advice_json


class Silent:
    def say(self, line):
        pass


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


def ask(folder: Path, budget: float):
    request = Request(load_recipe("feature_extractor"), folder, budget=budget)
    with pytest.raises(InputError):
        course.make_advice(request, None, None)


def test_a_complete_advice_keeps_its_own_budget_whatever_the_command_says(told, tmp_path):
    folder = write_sample(tmp_path, COMPLETE)
    ask(folder, 60.0)
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
    diary = type("Diary", (), {"seconds": 5.0})()
    monkeypatch.setattr(course, "open_diary", lambda request: contextlib.nullcontext(diary))
    monkeypatch.setattr(course.Story, "to_json", lambda story: {**read_advice_json(folder), "steps": story.steps})
    with pytest.raises(InputError):
        course.make_advice(Request(load_recipe("feature_extractor"), folder), Silent(), None)
    assert read_advice_json(folder)["steps"] == COMPLETE["steps"]


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
