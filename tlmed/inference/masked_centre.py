"""What a trained network looks at: whether it knows the class without the centre of images, and where Grad-CAM lies."""

import tlmed.tensorflow_start

from collections.abc import Iterator, Mapping

import numpy as np

from tlmed.data import ImageSet
from tlmed.evaluation.explanations.centres import (
    FRAME,
    SHARES,
    WHOLE,
    measure_frame,
    name_view,
    score_views,
)
from tlmed.evaluation.explanations.halves import cut
from tlmed.evaluation.pooling import Pooling, pool, read_pooling
from tlmed.findings import SHORTCUT, WARNING, Finding
from tlmed.gate.checked import Checked
from tlmed.inference.scorer import Scorer, computing, load_scorer, make_samples
from tlmed.inference.trained_runs import read_trained, recall_images
from tlmed.metrics import evaluate
from tlmed.metrics.image_means import bound_image_mean
from tlmed.metrics.label_metrics import evaluate_labels
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.seeds import derive
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import count, percent, span, thousandths

NAME = "network"
_MOST_SCORED, _MOST_EXPLAINED = 2000, 300  # images; each is scored seven times
_BATCH_SIZE = 32
_MUCH = 0.5  # of the AUC beyond chance that is left without the centre, from which on this is a finding
_LEAST = 10  # images, or groups, for an interval of a mean share
_LEAST_CELLS = 4  # rows and columns of a map; with fewer, a cell lies in the frame and in the centre
_SHOWN = 8  # images that a finding on maps names


def check_run(run: RunDir, source: str | None = None) -> Checked:
    """Tell whether a run's network knows the class without the centre of its images, and where it looks.

    It scores the run's test images (or its validation images, if none of them is left as it was): whole, with their
    centre covered by the mean colour of what lies around it, and with nothing but their centre. Most findings lie in
    the centre of a medical image, and markers, text and the edge of the field of view around it: a network that tells
    the classes apart without the centre may know them from these (DeGrave, Janizek & Lee, AI for radiographic COVID-19
    detection selects shortcuts over signal, Nature Machine Intelligence 2021, 3:610-619). Not every finding lies in the
    centre, so that this is a warning and no error.

    Args:
        run: A complete run.
        source: Where its images lie; None: where they lay.

    Returns:
        Warnings at most. `figures` has `split`, `images`, `metric` and, for each view, under `views` its `auc` with
        `low` and `high` of the 95 % interval, `above_chance` (whether all of the interval is above 0.5) and `left`
        (which share of the AUC beyond 0.5 is left); and as `map` the `method`, the mean `share` of its maps in the
        outer frame, with `low` and `high`, the share that an `even` map has there, and of how many `images`.

    Raises:
        InputError: If images or network of the run cannot be read.
    """
    trained, old = read_trained(run), METRICS_JSON.read(run)
    recalled = recall_images(trained, source or trained.recipe.data.source)
    images, splits = recalled.images, recalled.images.splits
    split = next((name for name in ("test", "val") if (recalled.same & (splits == name)).any()), None)
    if split is None:
        return Checked(NAME, unchecked=("What the network looks at: no test or validation image is as it was.",))
    random = np.random.RandomState(derive(trained.recipe.seed, "gate", NAME))
    rows = np.flatnonzero(recalled.same & (splits == split))
    rows = np.sort(random.permutation(rows)[:_MOST_SCORED])
    scorer = load_scorer(run)
    with computing():
        scores = score_views(_make_predict(scorer), _read(images, rows))
    views = {name: _rate(images, rows, found, old, read_pooling(old)) for name, found in scores.items()}
    figures = {
        "split": split,
        "images": len(rows),
        "metric": "AUC" if len(old["classes"]) == 2 and read_task(old) != MULTI_LABEL else "mean AUC",
        "views": {name: _compare(entry, views[WHOLE]) for name, entry in views.items()},
    }
    findings, unchecked = _judge_views(figures)
    looked, more, why = _look(scorer, images, rows, scores[WHOLE], random)
    return Checked(NAME, (*findings, *more), figures | {"map": looked}, (*unchecked, *why))


def _read(images: ImageSet, rows) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _BATCH_SIZE):
        yield images.pixels.take(rows[start : start + _BATCH_SIZE])


def _make_predict(scorer: Scorer):
    return lambda images: scorer.finish(np.asarray(scorer.features.predict_on_batch(images)))


def _rate(images, rows, scores, old: Mapping, pooling: Pooling) -> dict:
    """Return the AUC of scores with its interval, of units where a run pools scores."""
    units = pool(make_samples(images, rows, scores, read_task(old)), pooling, old["positive"]).units
    given = units.labels, units.scores, units.predictions, units.classes
    if units.is_multi:
        return evaluate_labels(*given, groups=units.groups, only=("auc",))["metrics"]["auc"]
    return evaluate(*given, positive=old["positive"], groups=units.groups, only=("auc",))["metrics"]["auc"]


def _compare(entry: Mapping, whole: Mapping) -> dict:
    """Return an AUC, whether it is above chance, and which share it has of what whole images have beyond chance."""
    value, low, high = entry["value"], entry.get("low"), entry.get("high")
    known = value is not None and whole["value"] is not None and whole["value"] > 0.5
    return {
        "auc": value,
        "low": low,
        "high": high,
        "above_chance": low is not None and low > 0.5,
        "left": max(value - 0.5, 0.0) / (whole["value"] - 0.5) if known else None,
    }


def _judge_views(figures: Mapping) -> tuple[list[Finding], list[str]]:
    """Return a finding if the network knows much without the centre, and sentences on what cannot be told."""
    views = figures["views"]
    whole, covered = views[WHOLE], views[name_view("covered", SHARES[-1])]
    if not whole["above_chance"]:
        said = "not defined" if whole["auc"] is None else thousandths(whole["auc"])
        tested = count(figures["images"], f"{figures['split']} image")
        why = f"its AUC on {tested} is {said}"
        return [], [
            f"Whether the network knows the class without the centre: {why}, which is not clearly above chance."
        ]
    if not covered["above_chance"] or covered["left"] < _MUCH:
        return [], []
    text = (
        f"The network still tells the classes apart without the centre of the images: where the inner "
        f"{percent(SHARES[-1])} of height and width are covered, its {figures['metric']} on the {figures['split']} "
        f"images is {_show(covered)}, and on whole images {_show(whole)}. {percent(min(covered['left'], 1.0))} of what "
        "it knows beyond chance is left."
    )
    cure = (
        "Look at what lies around the centre: markers, text, borders, the edge of the field of view. If it is not the "
        "finding, crop or cover it in all images, and train again."
    )
    return [Finding(SHORTCUT, text, (), WARNING, cure)], []


def _look(scorer: Scorer, images, rows, scores, random) -> tuple[dict | None, list[Finding], list[str]]:
    """Return how much of Grad-CAM's maps lies in the outer frame, a finding if it is much, and why there are none."""
    if scorer.network is None:
        return None, [], ["Where Grad-CAM lies: the run is a hybrid, whose classifier has no gradients."]
    with computing():
        explainer = scorer.explainer()
    if explainer.method != "grad-cam":
        return None, [], ["Where Grad-CAM lies: the network has no feature map that Grad-CAM could show."]
    if min(cells := cut(scorer.network).cells) < _LEAST_CELLS:
        why = f"its map has {' x '.join(map(str, cells))} cells, too few to tell the outer frame from the centre."
        return None, [], [f"Where Grad-CAM lies: {why}"]
    chosen = np.sort(random.permutation(len(rows))[:_MOST_EXPLAINED])
    parts = [chosen[start : start + _BATCH_SIZE] for start in range(0, len(chosen), _BATCH_SIZE)]
    with computing():
        measured = [
            measure_frame(explainer(images.pixels.take(rows[part]), scores[part].argmax(axis=1))) for part in parts
        ]
    even, shares = measured[0][1], np.concatenate([own for own, _ in measured])
    seen = np.flatnonzero(~np.isnan(shares))
    if not len(seen):
        return None, [], ["Where Grad-CAM lies: no image has anything that speaks for its predicted class."]
    looked = {"method": explainer.name, **_average(images, rows[chosen[seen]], shares[seen]), "even": even}
    if looked["low"] is None or looked["low"] <= even:
        return looked, [], []
    most = seen[np.argsort(-shares[seen], kind="stable")][:_SHOWN]
    text = (
        f"Grad-CAM lies more in the outer frame than an even map would: {percent(looked['share'])} of what speaks for "
        f"the predicted class (95 % interval {percent(looked['low'])} to {percent(looked['high'])}) is in the outer "
        f"{percent(FRAME)} of each side, which have {percent(even)} of the pixels."
    )
    cure = "Look at the maps with `tlmed predict RUN --explain`: markers, text and borders lie in the outer frame."
    files = tuple(images.table.paths[rows[chosen[row]]] for row in most)
    return looked, [Finding(SHORTCUT, text, files, WARNING, cure)], []


def _average(images, rows, shares) -> dict:
    """Return a mean share with its 95 % interval, by groups; without one where images or groups are too few."""
    groups = images.table.groups
    owners = None if groups is None else np.unique(np.array(groups, object)[rows], return_inverse=True)[1]
    owners = None if owners is None or len(np.unique(owners)) == len(rows) else owners
    units = len(rows) if owners is None else int(owners.max()) + 1
    found = {"share": float(shares.mean()), "low": None, "high": None, "images": len(rows)}
    if units < _LEAST:
        return found
    bounds = bound_image_mean(found["share"], shares, np.zeros(units, int), owners, 1.0)
    return found | {"low": bounds["low"], "high": bounds["high"]}


def _show(entry) -> str:
    return f"{thousandths(entry['auc'])} (95 % interval {span(entry['auc'], entry['low'], entry['high'])})"
