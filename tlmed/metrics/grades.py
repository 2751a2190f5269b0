"""Metrics of ordered classes, in which an error counts by how many grades it is."""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from tlmed.metrics.combining import combine
from tlmed.metrics.definitions import make_case
from tlmed.metrics.evaluation import evaluate
from tlmed.metrics.proportions import proportion
from tlmed.metrics.resampling import find_clusters
from tlmed.metrics.sample_sizes import NO_INTERVAL, count_units, name_units, note_few, say_few
from tlmed.metrics.spreads import bound_correlation, find_strata, measure_spread

GRADE_METRICS = ("mean_absolute_error", "within_one", "kendall_tau")
OF_CUT = ("auc", "sensitivity", "specificity")


def measure_grades(
    labels: np.ndarray,
    predictions: np.ndarray,
    classes: Sequence[str],
    groups: Sequence[str] | None = None,
    only: Collection[str] = GRADE_METRICS,
) -> dict[str, dict]:
    """Return metrics of predicted grades, each with its 95 % interval.

    - `mean_absolute_error`: how many grades predictions are off on average. It is the sum over d of the share of
      images that are off by d grades or more. The intervals of these shares are combined (MOVER: Zou & Donner 2008),
      so that grades that are all right have an upper bound, too.
    - `within_one`: the share of images that are off by one grade at most.
    - `kendall_tau`: tau-b between true and predicted grades (Kendall, Biometrika 1945, 33:239-251); 1 if they are the
      same. Its variance is that of the influence of each image.

    Args:
        labels: True grades, int [n], 0..k-1.
        predictions: Predicted grades, int [n].
        classes: The k names, in order.
        groups: Who each image belongs to, as in `evaluate`.
        only: The metrics wanted.

    >>> found = measure_grades(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0]), ["none", "mild", "severe"])
    >>> found["mean_absolute_error"]["value"], found["within_one"]["value"], round(found["kendall_tau"]["value"], 3)
    (0.5, 0.75, 0.4)
    """
    labels, predictions, owners = np.asarray(labels), np.asarray(predictions), find_clusters(groups)
    case = make_case(labels, np.eye(len(classes))[predictions], predictions, None)
    return {name: _measure(case, owners, classes, name) for name in GRADE_METRICS if name in only}


def _measure(case, owners, classes, name) -> dict:
    entry = _MEASURES[name](case, owners)
    if entry["value"] is None:
        return entry | {"reason": _say_alike(case, classes)}
    few = say_few(case, owners, None, _ALIKE[name])
    if few:
        entry |= {"low": None, "high": None, "method": None, "note": few}
    notes = [entry.get("note", ""), note_few(case, classes, owners, None, _ALIKE[name])]
    return entry | ({"note": said} if (said := " ".join(filter(None, notes))) else {})


def measure_cuts(
    labels: np.ndarray,
    scores: np.ndarray,
    predictions: np.ndarray,
    classes: Sequence[str],
    groups: Sequence[str] | None = None,
) -> dict[str, dict]:
    """Return how well each cut between grades is found: grades above a class against those up to it.

    The score of a cut is the probability of a grade above it, and predicted grades above it are its positives.

    Args:
        labels: True grades, int [n], 0..k-1.
        scores: Probabilities, one column per class, float [n, k].
        predictions: Predicted grades, int [n].
        classes: The k names, in order.
        groups: Who each image belongs to, as in `evaluate`.

    Returns:
        For each class but the highest, by name: `n`, the images above it, and the metrics `OF_CUT`.

    >>> scores = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]])
    >>> found = measure_cuts(np.arange(3), scores, np.arange(3), ["none", "mild", "severe"])
    >>> {name: (cut["n"], cut["auc"]["value"]) for name, cut in found.items()}
    {'none': (2, 1.0), 'mild': (1, 1.0)}
    """
    found = {}
    for grade, name in enumerate(classes[:-1]):
        above = np.asarray(scores, float)[:, grade + 1 :].sum(axis=1)
        names = [f"up to {name}", f"above {name}"]
        sides = (labels > grade).astype(int), np.stack([1 - above, above], axis=1), (predictions > grade).astype(int)
        cut = evaluate(*sides, names, names[1], groups, only=OF_CUT)
        found[name] = {"n": int((labels > grade).sum()), **cut["metrics"]}
    return found


def _say_alike(case, classes) -> str:
    if len(np.unique(case.labels)) == 1:
        return f"All images are of class {classes[case.labels[0]]!r}."
    return f"Every image was predicted as class {classes[case.predictions[0]]!r}."


def _bound_share(case, owners) -> dict:
    return proportion(np.abs(case.labels - case.predictions) <= 1, owners)


def _bound_error(case, owners) -> dict:
    off = np.abs(case.labels - case.predictions)
    shares = [off >= distance for distance in range(1, case.classes)]
    entries, moves = [proportion(share, owners) for share in shares], [(it - it.mean()) / len(off) for it in shares]
    low, high = combine(entries, moves, [1] * len(shares), owners)
    by, value = "" if owners is None else " by groups", float(off.mean())
    return {
        "value": value,
        "low": min(max(0.0, low), value),
        "high": max(min(case.classes - 1.0, high), value),
        "method": f"MOVER of the shares off by 1 to {len(shares)} grades{by}, each Wilson score (Zou & Donner 2008)",
    }


def _bound_tau(case, owners) -> dict:
    nothing = {"value": None, "low": None, "high": None, "method": None}
    cells = case.labels * case.classes + case.predictions
    value, moves = move_tau(np.bincount(cells, minlength=case.classes**2).reshape(case.classes, -1).astype(float))
    if value is None:
        return nothing
    spread = measure_spread(moves[case.labels, case.predictions], find_strata(case.labels, owners), owners)
    if not spread.variance:
        return {**nothing, "value": value, "note": f"All {name_units(owners)} count alike, {NO_INTERVAL}"}
    most = max(count_units(case, owners, None, _ALIKE["kendall_tau"]) - 1, 1)
    spread = dataclasses.replace(spread, freedom=min(spread.freedom, most))
    low, high = bound_correlation(value, spread)
    how = f"influences of {spread.units} {name_units(owners)} on Fisher's scale (Fisher 1921)"
    return {"value": value, "low": low, "high": high, "method": f"{how}, t with {spread.freedom:.0f} df (Welch 1947)"}


_MEASURES = {"mean_absolute_error": _bound_error, "within_one": _bound_share, "kendall_tau": _bound_tau}
# The metric of `METRICS` that rests on the same images, so that as few of them are too few.
_ALIKE = {"mean_absolute_error": "accuracy", "within_one": "accuracy", "kendall_tau": "kappa"}


def move_tau(table: np.ndarray) -> tuple[float | None, np.ndarray | None]:
    """Return Kendall's tau-b of a table of counts, and the influence on it of an image in each cell.

    Args:
        table: How many images have each true and each predicted grade, float [k, k].

    Returns:
        tau-b and [k, k]; None for both where all images have one grade, or one is predicted for all.

    >>> value, moves = move_tau(np.array([[3.0, 1.0], [1.0, 3.0]]))
    >>> value, moves.round(3).tolist()
    (0.5, [[0.062, -0.188], [-0.188, 0.062]])
    """
    total, rows, columns = table.sum(), table.sum(axis=1), table.sum(axis=0)
    # Ordered pairs of images that differ in their true grades, and in their predicted ones.
    apart = total**2 - (rows**2).sum(), total**2 - (columns**2).sum()
    if not all(apart):
        return None, None
    signs = np.sign(np.subtract.outer(np.arange(len(table)), np.arange(len(table))))
    # For each cell the images on its concordant sides less those on its discordant ones.
    surplus = signs @ table @ signs.T
    scale = np.sqrt(apart[0] * apart[1])
    value = float((table * surplus).sum() / scale)
    # The derivative by the weight of an image: of the surplus, and of both square roots.
    ties = (total - rows)[:, None] / apart[0] + (total - columns)[None, :] / apart[1]
    return value, 2 * surplus / scale - value * ties
