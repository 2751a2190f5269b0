"""What a run writes down of the schedule and the regularisers of its phases."""

import json

import pytest

import tlmed
from tests.conftest import SMALL
from tlmed.digests import list_history
from tlmed.export.card import write_card
from tlmed.plan.tables import describe_phases
from tlmed.recipe import override
from tlmed.run.story import rehearse
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")

SETTINGS = (
    *SMALL,
    *("phases.1.schedule=linear", "phases.1.warmup=0.25", "phases.clip_norm=1", "phases.1.weight_decay=0.01"),
)


@pytest.fixture(scope="module")
def recipe():
    return override(tlmed.load_recipe("fine_tuning"), SETTINGS)


@pytest.fixture(scope="module")
def run(recipe, images, tmp_path_factory):
    return tlmed.train(recipe, tmp_path_factory.mktemp("runs") / "run", images).path


def test_the_history_has_a_rate_for_each_epoch_of_all_phases(run, recipe):
    rows = read_csv(run / "history.csv")
    assert list(rows[0])[-2:] == ["seconds", "learning_rate"]
    head, top = recipe.phases
    assert [float(row["learning_rate"]) for row in rows[:2]] == [head.learning_rate] * 2
    # Three steps an epoch; the first two of six rise.
    expected = [top.learning_rate * factor for factor in (1, 1 / 4)]
    assert [float(row["learning_rate"]) for row in rows[2:]] == pytest.approx(expected, rel=1e-5)


def test_plan_report_and_card_say_what_is_set(run):
    plan = json.loads((run / "plan.json").read_text())
    said = (
        "top: the learning rate falls to 0 in equal steps, after a warm-up in 25 % of the steps; "
        "gradients of a norm of 1 at most; weight decay 0.01, not of biases and norms"
    )
    lines = [line for line in describe_phases(plan) if isinstance(line, str)]
    assert lines == ["head: gradients of a norm of 1 at most", said]
    assert [phase["optimizer_settings"].get("weight_decay") for phase in plan["phases"]] == [None, 0.01]
    assert f"<p>{said}.</p>" in (run / "report.html").read_text()
    card = write_card(RunDir(run))
    assert "| phases.schedule | head: constant, top: linear |" in card
    assert "| phases.clip\\_norm | 1.0 |" in card or "| phases.clip_norm | 1.0 |" in card


def test_the_first_epochs_alone_have_the_rates_of_the_whole_phase(images, tmp_path):
    settings = (*SMALL, "phases.epochs=3", "phases.schedule=cosine", "phases.patience=none")
    recipe = override(tlmed.load_recipe("feature_extractor"), [*settings, f"data.source={images}"])
    whole = tlmed.train(recipe, tmp_path / "whole").path
    rehearse(recipe, tmp_path / "first", 2)
    assert list_history(RunDir(tmp_path / "first")) == list_history(RunDir(whole))[:3]
