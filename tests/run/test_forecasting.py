"""What a training is expected to take, before it begins."""

import dataclasses

from tests.conftest import SMALL
from tlmed.expected_time import learn_correction
from tlmed.recipe import Images, Phase, Recipe, override
from tlmed.run import forecast
from tlmed.run.forecasting import LAYER_SECONDS

HEAD = Phase("head", thaw=0, solver="lbfgs")


def expect(images, *phases, **fields):
    recipe = Recipe(data=Images(str(images)), backbone="CifarNet", weights="none", phases=(HEAD, *phases), **fields)
    return forecast(override(recipe, [line for line in SMALL if not line.startswith("phases")]))


def test_a_probe_is_mostly_start_and_a_training_is_not(images):
    probe, thawed = expect(images), expect(images, Phase("all", thaw="all", epochs=400, learning_rate=1e-4))
    assert probe.work < probe.start
    assert thawed.start == probe.start
    assert thawed.work > 2 * probe.seconds
    # A probe that took a third of its forecast says nothing of how long training takes.
    found = learn_correction([(probe, probe.seconds / 3)])
    assert found.start < 0.7
    assert found.apply(thawed) > thawed.work


def test_what_a_recipe_asks_for_beside_training_takes_time(images):
    plain = expect(images, baselines=False, examples=0)
    assert expect(images, baselines=True, examples=3).start > plain.start
    assert dataclasses.replace(expect(images, baselines=True, examples=0), start=plain.start) == plain


def test_a_step_takes_time_for_each_layer_that_it_trains_however_small_the_images(images):
    def work(thaw, epochs):
        return expect(images, Phase("more", thaw=thaw, epochs=epochs, learning_rate=1e-4)).work

    assert work("all", 400) - work("all", 100) > 300 * 3 * LAYER_SECONDS
    assert work("all", 100) - work(1, 100) > 100 * LAYER_SECONDS
