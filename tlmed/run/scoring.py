"""Score a trained run and its baselines, and write the scores down."""

import dataclasses

import numpy as np

from tlmed.answer_units import describe_majority, describe_shares
from tlmed.building import build_backbone
from tlmed.data import ImageSet
from tlmed.data.leaks import find_leaked, find_undecided
from tlmed.evaluation.answer_rules import AnswerRule
from tlmed.evaluation.baselines import count_colours, linear_probe, majority_class
from tlmed.evaluation.copies import count_copies
from tlmed.evaluation.decisions import Decision, decide
from tlmed.evaluation.lines import describe_metrics, is_reversed
from tlmed.evaluation.measures import Scoring, measure, score_pooled
from tlmed.evaluation.missing_images import count_read_units, describe_read_units
from tlmed.evaluation.pooled_csv import write_pooled
from tlmed.evaluation.pooling import Pooled, Pooling, choose_pooling, number_units, pool
from tlmed.evaluation.predictions import HALF, describe_ties
from tlmed.evaluation.unit_labels import label_units
from tlmed.features import feature_model
from tlmed.inference.scorer import make_samples
from tlmed.inference.stated_costs import find_costs, find_rule
from tlmed.label_vectors import write_labels
from tlmed.run.job import Job
from tlmed.run.networks import wake
from tlmed.run.outcome import Outcome
from tlmed.run.prefixes import features_of
from tlmed.run_files import BASELINE, METRICS_JSON
from tlmed.tasks import ORDINAL


def evaluate_run(job: Job, images: ImageSet, outcome: Outcome) -> None:
    """Choose threshold and temperature, write predictions, pooled ones and `metrics.json`, and say the metrics."""
    recipe, run, clock, voice = job.recipe, job.run, job.clock, job.voice
    run.mark("Evaluating.")
    with clock.stage("evaluate"), voice.busy("Scoring test images"):
        pooled, decision = _predict(recipe, images, outcome.scores, _find_rule(recipe, images))
        write_pooled(run.path, pooled)
        leaked = find_leaked(images.sha256, images.table.own_groups, images.splits, images.elsewhere)
        known = [images.table.paths[row] for row in np.flatnonzero(leaked)]
        asked = _ask(recipe, images)
        scoring = dataclasses.replace(asked, decision=decision, prevalence=recipe.prevalence, stated=recipe.stated)
        result = score_pooled(pooled, scoring, known)
        result |= _count_undecided(images, pooled, known)
        result |= count_copies(pooled, "test", dict(zip(images.table.paths, images.sha256, strict=True)))
        result |= {"units": units} if (units := _count_lacking(images, pooled.pooling)) else {}
    with clock.stage("baselines"), voice.busy("Scoring baselines"):
        baselines = _score_baselines(job, images)
    result |= {**outcome.notes, **_note_validation(pooled.units, recipe), "baselines": baselines}
    METRICS_JSON.write(run, result)
    for note in describe_ties(pooled.units.of("test")):
        voice.warn(note)
    for line in describe_metrics(result):
        voice.say(line)


def describe_lacking(images: ImageSet, pooling: Pooling) -> list[str]:
    """Return sentences on answers of files or groups that lack images which cannot be read."""
    return describe_read_units(_count_lacking(images, pooling), pooling.unit)


def _count_lacking(images, pooling) -> dict[str, int]:
    table, broken = images.table, [path for path, _ in images.broken]
    groups = None if table.groups is None else (*table.groups, *images.broken_groups)
    tested = {table.paths[row] for row in images.indices("test").tolist()}
    return count_read_units(pooling, (*table.paths, *broken), groups, set(broken), tested)


def _count_undecided(images, pooled, known) -> dict[str, int]:
    """Return of how many test units it cannot be told whether the runs that gave weights know them; {} if of none."""
    table = images.table
    hidden = find_undecided(table, images.sha256, images.elsewhere, images.certain) & (images.splits == "test")
    undecided = pooled.find_units([table.paths[row] for row in np.flatnonzero(hidden)]) - pooled.find_units(known)
    return {"undecided": len(undecided)} if undecided else {}


def _predict(recipe, images, scores, rule) -> tuple[Pooled, Decision]:
    """Return predictions for validation and test images, pooled, and what was chosen on validation units."""
    data, rows = recipe.data, _list_scored(images)
    samples = make_samples(images, rows, scores, recipe.resolved_task)
    pooled = pool(samples, _choose_pooling(recipe, images.table), data.positive)
    costs = find_costs(recipe, images.table.classes)
    decision = decide(pooled.units.of("val"), data.positive, rule, costs, recipe.prevalence)
    return pooled.decide(decision, data.positive), decision


def _find_rule(recipe, images) -> str | float | AnswerRule:
    table = images.table
    if table.is_multi:  # each label is predicted by its threshold
        return recipe.threshold
    counts = np.bincount(table.labels[images.indices("train")], minlength=len(table.classes))
    return find_rule(recipe, table.classes, counts)


def _ask(recipe, images) -> Scoring:
    """Return what the predictions of test images are asked, by whomever they are."""
    return Scoring("test", recipe.data.positive, recipe.seed, costs=find_costs(recipe, images.table.classes))


def _choose_pooling(recipe, table) -> Pooling:
    return choose_pooling(recipe.data.pool, recipe.data.pool_by, table.paths, table.labels, table.groups)


def _note_validation(predictions, recipe) -> dict:
    """Return the AUC of the validation units where it is below 0.5 by more than chance; nothing elsewhere."""
    found = measure(predictions.of("val"), Scoring("val", recipe.data.positive, recipe.seed), ("auc",))
    return {"validation": {"n": found["n"], "metrics": found["metrics"]}} if is_reversed(found["metrics"]) else {}


def _list_scored(images) -> np.ndarray:
    return np.concatenate([images.indices("val"), images.indices("test")])


def _score_baselines(job, images) -> dict:
    """Score baselines on the test images: the most frequent class, and two linear classifiers if asked."""
    recipe, train, rows = job.recipe, images.indices("train"), _list_scored(images)
    labels, classes = images.table.labels[train], len(images.table.classes)
    found = {"majority_class": _score_majority(recipe, images)}
    if not recipe.baselines:
        return found
    histograms = count_colours(images.pixels.take, len(images.splits))
    features = {"colour_histograms": ("how often each level of red, green and blue occurs", histograms)}
    if str(recipe.backbone).startswith("own:"):
        job.voice.warn(
            "There is no baseline with random weights, because tlmed cannot draw random weights for your own network."
        )
    else:
        random = _draw_features(job, images)
        features["random_weights"] = ("the features of randomly initialised weights", random)
    each = " for each label" if images.table.is_multi else ""
    for name, (words, table) in features.items():
        scores = linear_probe(table[train], labels, table[rows], classes)
        baseline = _score_baseline(recipe, images, scores, _find_rule(recipe, images))
        found[name] = {"description": f"A linear classifier{each} on {words}.", **baseline}
    return found


def _score_majority(recipe, images) -> dict:
    """Score the most frequent class of what has one answer in training: images, files or groups."""
    table, train = images.table, images.indices("train")
    pooling = _choose_pooling(recipe, table)
    groups = None if table.groups is None else [table.groups[row] for row in train]
    units = number_units(pooling.name([table.paths[row] for row in train], groups))[1]
    # Patients with many images must not count more than others.
    labels = label_units(table.labels[train], units)
    scores = majority_class(labels, len(_list_scored(images)), len(table.classes))
    # All have the same score, so no threshold can be chosen: 0.5 predicts the more frequent class.
    pooled, _ = _predict(recipe, images, scores, HALF)
    if recipe.resolved_task == ORDINAL:  # by their scores, grades are predicted by the median of the shares
        most = np.full(len(pooled.units.paths), scores[0].argmax())
        pooled = dataclasses.replace(pooled, units=dataclasses.replace(pooled.units, predictions=most))
    answers = write_labels(pooled.units.of("test").predictions[:1], table.classes)
    describe = describe_shares if table.is_multi else describe_majority
    return {
        "description": describe(answers, pooling.unit),
        "answers": answers,
        **_measure_test(recipe, images, pooled),
    }


def _draw_features(job, images) -> np.ndarray:
    """Return the features of every image by the backbone with random weights, without any training."""
    random = build_backbone(job.recipe, "none")
    wake(job.recipe, random, images)
    pooled = feature_model(random.model, pooling=job.recipe.head.pooling)
    return features_of(job, pooled, images, BASELINE)


def _score_baseline(recipe, images, scores, rule) -> dict:
    """Return a baseline's metrics; its threshold is chosen by the same rule as the run's."""
    return _measure_test(recipe, images, _predict(recipe, images, scores, rule)[0])


def _measure_test(recipe, images, pooled) -> dict:
    return measure(pooled.units.of("test"), _ask(recipe, images))["metrics"]
