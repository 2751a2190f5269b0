"""Score a trained run, beside what needs no transfer, and write it down."""

import numpy as np

from tlmed.data import ImageSet
from tlmed.evaluation.baselines import linear_probe, majority_class
from tlmed.evaluation.predictions import write_predictions
from tlmed.features import feature_model
from tlmed.inference import describe_metrics, make_predictions, score
from tlmed.recipe import Recipe
from tlmed.run.clock import Clock
from tlmed.run.networks import build_backbone, wake
from tlmed.run.outcome import Outcome
from tlmed.run.prefixes import features_of
from tlmed.rundir import RunDir, write_json
from tlmed.voice import Voice

THRESHOLD = 0.5


def evaluate_run(recipe: Recipe, run: RunDir, images: ImageSet, outcome: Outcome, clock: Clock, voice: Voice) -> None:
    """Write `predictions.csv` and `metrics.json`, and say what they hold."""
    run.mark("Evaluating.")
    rows = np.concatenate([images.indices("val"), images.indices("test")])
    with clock.stage("evaluate"):
        predictions = make_predictions(images, rows, outcome.scores, recipe.data.positive, THRESHOLD)
        write_predictions(run / "predictions.csv", predictions)
        result = score(predictions, "test", recipe.data.positive, recipe.seed)
    result["threshold"] = THRESHOLD if result["positive"] else None
    result |= outcome.notes
    if recipe.baselines:
        with clock.stage("baselines"):
            result["baselines"] = _score_baselines(recipe, images, clock, voice)
    write_json(run / "metrics.json", result)
    for line in describe_metrics(result):
        voice.say(line)


def _score_baselines(recipe, images, clock, voice) -> dict:
    """Score what needs no transfer on the test images: random weights below a linear classifier, and no network."""
    table, train, test = images.table, images.indices("train"), images.indices("test")
    random = build_backbone(recipe, "none")
    wake(recipe, random, images)
    pooled = feature_model(random.model, pooling=recipe.head.pooling)
    features = features_of(recipe, pooled, images, "baseline", clock, voice)
    probe = linear_probe(features[train], table.labels[train], features[test], len(table.classes))
    majority = majority_class(table.labels[train], len(test), len(table.classes))
    described = {
        "random_weights": ("A linear classifier on the features of randomly initialised weights.", probe),
        "majority_class": ("The shares of the classes among the training images, for every image.", majority),
    }
    return {
        name: {"description": words, **_score_baseline(recipe, images, test, scores)}
        for name, (words, scores) in described.items()
    }


def _score_baseline(recipe, images, test, scores) -> dict:
    predictions = make_predictions(images, test, scores, recipe.data.positive, THRESHOLD)
    return score(predictions, "test", recipe.data.positive, recipe.seed)["metrics"]
