"""A run with learning rates that are measured says which it used, and keeps to them when it goes on or is repeated."""

import json

import keras
import pytest

import tlmed
from tests.conftest import SMALL
from tests.run.test_resuming import check_equal
from tlmed.plan.tables import describe_phases
from tlmed.recipe import load_recipe, override
from tlmed.reproduce import Request, reproduce
from tlmed.run import phase_training
from tlmed.run.previewing import preview
from tlmed.rundir import RunDir

pytestmark = pytest.mark.usefixtures("empty_figures")


class Killed(BaseException):
    """What a test stops a run with: nothing in tlmed catches it."""


class KillAt(keras.callbacks.Callback):
    """Stop in the second epoch, after its first step."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1 and int(self.model.optimizer.iterations) > batch:
            raise Killed


def train(images, out, *settings):
    return tlmed.train(override(load_recipe("surgical"), [*SMALL, "phases.1.epochs=2", *settings]), out, images)


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    return RunDir(train(images, tmp_path_factory.mktemp("runs") / "run").path)


def test_the_plan_and_the_report_have_the_rates(run):
    plan = run.json("plan.json")
    head, phase = plan["phases"]
    assert head["learning_rates"] == {"head": head["learning_rate"]}
    rates = phase["learning_rates"]
    assert list(rates) == ["head", *reversed(phase["blocks"])]
    assert rates["head"] == max(rates[name] for name in phase["blocks"]) == phase["learning_rate"]
    assert 0 < min(rates.values()) < phase["learning_rate"]
    table, *lines = describe_phases(plan)
    assert table.rows[1][-1] == f"{phase['learning_rate']:.3g} .. {min(rates.values()):.3g}"
    said = "each block's rate measured, in proportion to gradient over weights"
    assert said in " ".join(map(str, lines))
    page = (run / "report.html").read_text()
    assert said.replace("'", "&#39;") in page
    assert all(f"{name} {rate:.3g}" in page for name, rate in rates.items())


def test_rates_are_unknown_before_they_are_measured(images):
    recipe = override(load_recipe("surgical"), [*SMALL, f"data.source={images}"])
    _, plan, _ = preview(recipe)
    assert plan["phases"][1]["learning_rates"] == {}
    assert describe_phases(plan)[0].rows[1][-1] == f"up to {recipe.phases[1].learning_rate:.3g}"


@pytest.mark.parametrize("stop", ["in the phase", "after it"])
def test_a_run_that_goes_on_has_the_same_rates_and_bits(stop, run, images, tmp_path, monkeypatch):
    if stop == "after it":
        monkeypatch.setattr("tlmed.run.story.evaluate_run", lambda *_: (_ for _ in ()).throw(Killed))
    else:
        monkeypatch.setattr("tlmed.training.checkpoints.Checkpoints.due", True)
        monkeypatch.setattr("tlmed.run.phase_training.watchers", lambda job, phases, phase, count: [KillAt()])
    with pytest.raises(Killed):
        train(images, tmp_path / "run")
    begun = RunDir(tmp_path / "run")
    assert bool(list(begun.progress.rglob("*.checkpoint"))) == (stop == "in the phase")
    assert (begun.progress / "all.phase").exists() == (stop == "after it")
    monkeypatch.undo()
    measured, find = [], phase_training.find_rates
    monkeypatch.setattr(phase_training, "find_rates", lambda *it: measured.append(find(*it)) or measured[-1])
    train(images, tmp_path / "run")
    assert len(measured) == (stop == "in the phase")
    check_equal(run.path, begun.path)


def test_a_repeated_run_has_the_same_rates(run, tmp_path):
    assert reproduce(Request(run.path, level="bits", out=tmp_path / "again")).faults == []
    plans = [json.loads((folder / "plan.json").read_text()) for folder in (run.path, tmp_path / "again")]
    assert plans[0] == plans[1]
