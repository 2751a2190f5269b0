"""A phase whose head is solved: its features taken once, the head solved by one process, and given to all."""

import time

import numpy as np
import tensorflow as tf

from tlmed import stopping
from tlmed.gate.grouped_folds import join_owners
from tlmed.heads import solved
from tlmed.heads.dense import PROBABILITIES
from tlmed.logistic import Source
from tlmed.phases import Classifier
from tlmed.replicas import share_from_first, workers
from tlmed.run.job import Job
from tlmed.run.networks import predict_rows
from tlmed.run.prefixes import Feed
from tlmed.run.watching import TENSORBOARD
from tlmed.sections.training import AUTO_L2
from tlmed.seeds import derive
from tlmed.training import PhaseResult, class_weights, describe, measure
from tlmed.words import count

SCORES = ("loss", "accuracy", "auc")


def solve_phase(job: Job, model: Classifier, fed: Feed, start: float) -> tuple[PhaseResult, dict, list[dict]]:
    """Solve the head of a phase, and give it to the network.

    Args:
        job: The run.
        model: Its network, thawed for the phase.
        fed: What the phase is fed with.
        start: When the phase began, as `time.perf_counter` gives it.

    Returns:
        How the phase ended, its row of `history.csv`, and its rows of `strengths.csv`.
    """
    recipe, phase, begin = job.recipe, model.phase, time.perf_counter()
    train, val = _read(job, model, fed)
    layer = next(layer for layer in model.head if layer.name == PROBABILITIES)
    shapes = [tuple(weight.shape) for weight in layer.weights]
    found, told = None, [np.zeros(shape, np.float32) for shape in (*shapes, (2,))]
    if workers()[0] == 0:
        found = _solve(job, phase, (train, val), shapes[0][1])
        told = [found.kernel, found.bias, np.array([found.loss, found.accuracy], np.float32)]
    kernel, bias, (loss, accuracy) = share_from_first(told)
    layer.set_weights([kernel, bias])
    scores = {f"val_{name}": value for name, value in measure(fed.predict(_rows(fed, "val")), val.labels).items()}
    row = {"phase": phase.name, "epoch": 1, "loss": float(loss), "accuracy": float(accuracy), **scores}
    _note_scores(job, phase, row)
    row["seconds"] = round(time.perf_counter() - begin, 3)
    path = [{"phase": phase.name, **strength} for strength in found.path] if found else []
    if path:
        job.voice.say(f"{phase.name}  {_say_choice(path)}  {describe(row)}")
    return PhaseResult(phase.name, scores[recipe.monitor], 1, 1, time.perf_counter() - start, solved=True), row, path


def _solve(job, phase, rows, classes) -> solved.SolvedHead:
    """Solve the head of each strength, of each fold too where there are any, and show how many are done."""
    aim = _aim(job.recipe, phase, rows[0].labels, classes)
    busy, heads = job.voice.busy(f"Solving the head of phase {phase.name!r}"), solved.count_heads(*rows, aim)
    with busy, job.voice.count("Heads" if heads > len(aim.strengths) else "Strengths of L2", heads) as tell:

        def look() -> None:
            tell(1)
            _look()

        return solved.solve_head(*rows, aim, look)


def _look() -> None:
    if stop := stopping.requested():
        raise stop


def _aim(recipe, phase, labels, classes) -> solved.Aim:
    factors = None
    if recipe.class_weight == "balanced":
        weights = class_weights(labels)
        factors = [weights.get(label, 1.0) for label in range(classes)]
    return solved.Aim(
        classes,
        solved.STRENGTHS if phase.l2 == AUTO_L2 else (phase.l2,),
        factors,
        derive(recipe.seed, "phase", phase.name),
    )


def _note_scores(job, phase, row) -> None:
    """Write the scores for TensorBoard, if that is asked for, under the names that Keras gives to those of an epoch."""
    if not job.recipe.tensorboard:
        return
    for part, start in (("train", ""), ("validation", "val_")):
        # Not by Keras's callback, which would add the learning rate.
        with tf.summary.create_file_writer(str(job.run / TENSORBOARD / phase.name / part)).as_default():
            for name in SCORES:
                if start + name in row:
                    tf.summary.scalar(f"epoch_{name}", row[start + name], step=0)


def _say_choice(path) -> str:
    chosen = next(row for row in path if row["chosen"])
    if len(path) == 1:
        return f"solved with l2 {chosen['l2']:g}"
    where = "validation images" if chosen["judged_on"] == solved.VALIDATION else "folds of the training images"
    return f"solved; l2 {chosen['l2']:g} of {len(path)} by the log loss of {where}"


def _rows(fed, split) -> np.ndarray:
    return fed.images.indices(split)


def _read(job, model, fed) -> tuple[solved.Rows, solved.Rows]:
    """Return training and validation features; of versions of training images all of them, and no others."""
    images, (train, val) = fed.images, (_rows(fed, "train"), _rows(fed, "val"))
    labels, owners = images.table.labels, _find_owners(images)
    if fed.extraction is None:
        held = _compute(job, model, images, np.concatenate([train, val]))
        places = np.full(len(labels), -1)
        places[np.concatenate([train, val])] = np.arange(len(held))
        parts = [Source(lambda rows: held[places[rows]], rows, held.shape[1]) for rows in (train, val)]
    else:
        versions = train
        if images.views:
            versions = len(images.splits) + np.arange(images.views * len(train))
        width = images.pixels.spec.shape[1]
        parts = [Source(images.pixels.take, rows, width) for rows in (versions, val)]
    times = len(parts[0].rows) // len(train)
    repeated = np.concatenate([labels[train]] * times), np.concatenate([owners[train]] * times)
    return solved.Rows(parts[0], *repeated), solved.Rows(parts[1], labels[val], owners[val])


def _compute(job, model, images, rows) -> np.ndarray:
    """Return features that are not kept in the store, float32 [n, d]."""
    with job.voice.busy(f"Computing the features of {count(len(rows), 'image')}"):
        return predict_rows(job.recipe, model.route.frozen.net, images, rows)


def _find_owners(images) -> np.ndarray:
    """Return whom each image belongs to: those of one group share, and byte-identical ones."""
    names = [images.sha256]
    if images.table.groups is not None:
        # An empty name is a group of its own; a pair equals no text.
        names.append([group or (row,) for row, group in enumerate(images.table.groups)])
    numbers = [{name: number for number, name in enumerate(dict.fromkeys(part))} for part in names]
    parts = zip(names, numbers, strict=True)
    return join_owners([np.array([number[name] for name in part], np.int64) for part, number in parts])
