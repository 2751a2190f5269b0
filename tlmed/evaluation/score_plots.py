"""Pictures of scores: ROC and precision-recall curves, calibration, decisions, confusion, examples.

Each function makes a `matplotlib.figure.Figure` of its own; pyplot, with its hidden state, is not used.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tlmed.evaluation.drawing import COLOURS, LINES, TEST_STYLE, UNNAMED, VALIDATION_STYLE, add_legend, literal, tidy
from tlmed.evaluation.predictions import Predictions
from tlmed.metrics import binary_auc, net_benefit, positive_index, reliability, roc_curve
from tlmed.metrics.bands import has_band, roc_band
from tlmed.metrics.calibration import BINS
from tlmed.metrics.packed_confusion import unpack_confusion
from tlmed.metrics.resampling import find_clusters
from tlmed.words import percent, thousandths

BLUES = LinearSegmentedColormap.from_list("blues", ["#FFFFFF", COLOURS[0]])
# What one may do, by the names of `net_benefit`.
_STRATEGIES = {
    "model": ("act on the scores", COLOURS[0], "-"),
    "all": ("act on all", COLOURS[1], "--"),
    "none": ("act on none", "#000000", ":"),
}
MOST_CURVES = 8  # curves with a colour and a name in a picture; the others are grey
MOST_BANDS = 3  # with more curves the bands would hide each other
_RATES = np.linspace(0, 1, 201)  # the false positive rates at which a band is drawn
MOST_NAMED = 60  # with more classes a confusion matrix has no names beside it
_LARGEST_WRITTEN = 20  # with more classes the numbers in a confusion matrix would be illegible


def draws_bands(predictions: Predictions, split: str = "test", positive: str | None = None) -> bool:
    """Say whether `roc_curves` draws bands: around three curves at most, where each class has images or groups enough.

    Args:
        predictions: Scored images.
        split: The split to draw.
        positive: The positive of two classes, by default the second in the order of classes.
    """
    if predictions.is_multi:  # each label is known of other images
        return False
    owners = find_clusters(predictions.of(split).groups)
    drawn = [truth for _, truth, _ in _list_curves(predictions, split, positive) if truth.any() and not truth.all()]
    return 0 < len(drawn) <= MOST_BANDS and all(has_band(truth, owners) for truth in drawn)


def roc_curves(predictions: Predictions, split: str = "test", positive: str | None = None) -> Figure:
    """Draw the ROC curve of a split: of the positive class of two, else of each class against the rest.

    Up to three curves have a pointwise 95 % band (`draws_bands`). Of many classes those with the smallest areas have
    colours and names.

    Args:
        predictions: Scored images.
        split: The split to draw.
        positive: The positive of two classes, by default the second in the order of classes.
    """
    owners, bands = find_clusters(predictions.of(split).groups), draws_bands(predictions, split, positive)
    drawn = [
        (binary_auc(truth, scores), name, (truth, scores))
        for name, truth, scores in _list_curves(predictions, split, positive)
    ]
    drawn = [each for each in drawn if each[0] is not None]  # of one class only there is no curve
    figure = Figure(figsize=_size_curves(drawn), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
    named, others = _choose_named(drawn)
    _draw_others(axes, [roc_curve(*curve) for _, _, curve in others])
    for (area, name, (truth, scores)), style in zip(named, _list_styles(), strict=False):
        axes.plot(*roc_curve(truth, scores), label=f"AUC {thousandths(area)}  {literal(name)}", **style)
        if bands:
            low, high = roc_band(truth, scores, _RATES, owners)
            axes.fill_between(_RATES, low, high, color=style["color"], alpha=0.15, linewidth=0)
    tidy(axes, xlabel="1 - specificity", ylabel="sensitivity")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    if not add_legend(axes):
        axes.text(0.5, 0.5, "no curve: one class only", ha="center", va="center", backgroundcolor="white")
    return figure


def roc_of_folds(folds: Sequence[Predictions], columns: Sequence[int]) -> Figure:
    """Draw the ROC curve of each fold of a cross-validation, and their mean: that of the sensitivities at each rate.

    "Vertical averaging" in Fawcett, Pattern Recognition Letters 2006, 27:861-874.

    Args:
        folds: The test predictions of each fold.
        columns: The classes or labels, a panel for each.
    """
    across = min(len(columns), 3)
    down = math.ceil(len(columns) / across)
    side = 4.6 if across == 1 else 3
    figure = Figure(figsize=(side * across, side * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    for axes, column in zip(panels, columns, strict=False):
        _draw_folds(axes, folds, column)
        if len(columns) > 1:
            axes.set_title(literal(folds[0].classes[column]), fontsize="medium")
    return figure


def area_of(predictions: Predictions, column: int) -> float | None:
    """Return the AUC of a class against the rest, or of a label, 0..1; None where one of the two has no image.

    Args:
        predictions: Scored images, all of which count, but for a label those of which it is known.
        column: The class or label, 0..k-1.
    """
    return binary_auc(*take_side(predictions, column))


def take_side(predictions: Predictions, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which images are of a class, or have a label, bool [n], and their scores, float [n].

    Args:
        predictions: Scored images; of a label those count of which it is known.
        column: The class or label, 0..k-1.
    """
    if predictions.is_multi:
        side = predictions.of_label(column)
        return side.labels == 1, side.scores[:, 1]
    return predictions.labels == column, predictions.scores[:, column]


def _draw_folds(axes, folds, column):
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
    curves = [roc_curve(*take_side(fold, column)) for fold in folds if area_of(fold, column) is not None]
    for curve in curves:
        axes.plot(*curve, color=COLOURS[0], linewidth=0.8, alpha=0.55)
    if curves:
        mean = np.mean([np.interp(_RATES, *curve) for curve in curves], axis=0)
        # From the corner, where every curve begins.
        axes.plot(np.r_[0, _RATES], np.r_[0, mean], color=COLOURS[1], linewidth=2.2)
    else:
        axes.text(0.5, 0.5, "no curve: one class only", ha="center", va="center", backgroundcolor="white")
    tidy(axes, xlabel="1 - specificity", ylabel="sensitivity")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def precision_recall(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and precision at every threshold, from the highest score down; recall starts at 0.

    Between two thresholds the curve is a step: a straight line would promise what no threshold gives (Davis & Goadrich,
    ICML 2006). The area below the steps is the average precision.

    Args:
        positive: Whether each case is positive, bool [n]; some must be.
        scores: Higher means more likely positive, float [n].

    >>> [rate.tolist() for rate in precision_recall(np.array([True, False, True]), np.array([0.9, 0.5, 0.2]))]
    [[0.0, 0.5, 0.5, 1.0], [1.0, 1.0, 0.5, 0.6666666666666666]]
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positive[order]
    ends = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1]  # tied cases enter together
    true = np.cumsum(hits)[ends]
    # `ends + 1`: images with that score or a higher one.
    return np.r_[0.0, true / true[-1]], np.r_[1.0, true / (ends + 1)]


def precision_recall_curves(predictions: Predictions, split: str = "test", positive: str | None = None) -> Figure:
    """Draw precision against recall in a split: of the positive class of two, else of each class against the rest.

    A thin dotted line is the share of the class: the precision of scores without any knowledge.

    Args:
        predictions: Scored images.
        split: The split to draw.
        positive: The positive of two classes, by default the second in the order of classes.
    """
    drawn = []
    for name, truth, scores in _list_curves(predictions, split, positive):
        if truth.any():  # else there is no recall
            recall, precision = precision_recall(truth, scores)
            area = float((np.diff(recall) * precision[1:]).sum())
            drawn.append((area, name, (recall, precision, truth.mean())))
    figure = Figure(figsize=_size_curves(drawn), layout="constrained")
    axes = figure.subplots()
    named, others = _choose_named(drawn)
    _draw_others(
        axes, [(np.repeat(recall, 2)[:-1], np.repeat(precision, 2)[1:]) for *_, (recall, precision, _) in others]
    )
    for (area, name, (recall, precision, share)), style in zip(named, _list_styles(), strict=False):
        axes.step(recall, precision, where="pre", label=f"AP {thousandths(area)}  {literal(name)}", **style)
        axes.axhline(share, color=style["color"], linestyle=":", linewidth=0.9)
    tidy(axes, xlabel="recall (sensitivity)", ylabel="precision (positive predictive value)")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    if not add_legend(axes):
        axes.text(0.5, 0.5, "no curve: nothing is of the class", ha="center", va="center", backgroundcolor="white")
    return figure


def reliability_diagram(series: Mapping[str, Sequence[Mapping]], about: str, counted: str = "images") -> Figure:
    """Draw a reliability diagram: the share that came true against the score, with 95 % intervals, and counts.

    Args:
        series: One or two names to points, as `tlmed.metrics.reliability` gives them.
        about: What the probability is about.
        counted: What the points count.

    >>> points = [{"from": 0.6, "to": 0.7, "n": 2, "confidence": 0.65, "share": 0.5, "low": 0.1, "high": 0.9}]
    >>> [axes.get_ylabel() for axes in reliability_diagram({"as trained": points}, "a").axes]
    ['share that came true', 'images']
    """
    figure = Figure(figsize=(4.6, 5.4), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
    styles = (TEST_STYLE, VALIDATION_STYLE) if len(series) > 1 else (VALIDATION_STYLE,)
    width = 0.8 / BINS / len(series)
    for number, ((name, points), (colour, line, marker)) in enumerate(zip(series.items(), styles, strict=True)):
        said, came = (np.array([point[key] for point in points]) for key in ("confidence", "share"))
        spread = np.abs([[point[end] for point in points] for end in ("low", "high")] - came)
        style = {"color": colour, "linestyle": line, "marker": marker, "markersize": 5, "linewidth": 1.4}
        axes.errorbar(said, came, spread, elinewidth=0.9, capsize=2.5, label=name, **style)
        places = [point["from"] + 0.1 / BINS + width * (number + 0.5) for point in points]
        below.bar(places, [point["n"] for point in points], width, color=colour, hatch="//" * number, edgecolor="white")
    tidy(axes, ylabel="share that came true")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    tidy(below, xlabel=f"probability of {literal(about)}", ylabel=counted)
    below.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=2, frameon=False, fontsize="small")
    return figure


def find_points(positive: np.ndarray, scores: np.ndarray, groups: Sequence[str] | None) -> list[dict]:
    """Return the points of a label for `reliability_of_labels`.

    Args:
        positive: Whether each image has the label, bool [n].
        scores: Its probability, float [n].
        groups: The group of each image, or None.
    """
    return reliability(scores, positive, find_clusters(groups)) if len(scores) else []


def reliability_of_labels(series: Mapping[str, Sequence[Mapping]]) -> Figure:
    """Draw the share that came true against the score, a curve for each of several labels.

    Args:
        series: The name of each label to its points, as `find_points` gives them.

    >>> points = [{"from": 0.6, "to": 0.7, "n": 2, "confidence": 0.65, "share": 0.5, "low": 0.1, "high": 0.9}]
    >>> reliability_of_labels({"edema": points}).axes[0].get_ylabel()
    'share that came true'
    """
    figure = Figure(figsize=(4.6, 4.2 + 0.19 * min(len(series), MOST_CURVES)), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
    named = {name: points for name, points in list(series.items())[:MOST_CURVES] if points}
    for (name, points), style in zip(named.items(), _list_styles(), strict=False):
        said, came = ([point[key] for point in points] for key in ("confidence", "share"))
        axes.plot(said, came, marker="o", markersize=3, label=literal(name), **style)
    tidy(axes, xlabel="probability of the label", ylabel="share that came true")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    add_legend(axes)
    return figure


def decision_curves(predictions: Predictions, scores: np.ndarray, columns: Sequence[int]) -> Figure:
    """Draw the net benefit of acting on the scores of a class, beside acting on all images and on none.

    Vickers & Elkin, Medical Decision Making 2006, 26:565-574.

    Args:
        predictions: Of one split.
        scores: Their probabilities [n, k], calibrated if they can be.
        columns: The classes, a panel for each; each must have images, and so must the rest.
    """
    across = min(len(columns), 3)
    down = math.ceil(len(columns) / across)
    figure = Figure(
        figsize=(4.6 if across == 1 else 3 * across, 3.6 if across == 1 else 3 * down), layout="constrained"
    )
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    for axes, column in zip(panels, columns, strict=False):
        positive = predictions.labels == column
        curves = net_benefit(positive, scores[:, column])
        for name, style in _STRATEGIES.items():
            axes.plot(curves["thresholds"], curves[name], label=style[0], color=style[1], linestyle=style[2])
        top = positive.mean()
        tidy(axes, xlabel="risk at which one acts", ylabel="net benefit")
        # Net benefit is at most the share of the class; acting on all falls without a bound, so it is cut off.
        axes.set(xlim=(0, 1), ylim=(-0.25 * top, 1.1 * top))
        if len(columns) > 1:
            axes.set_title(literal(predictions.classes[column]), fontsize="medium")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=len(names), frameon=False, fontsize="small")
    return figure


def confusion_matrix(evaluation: Mapping) -> Figure:
    """Draw how the images of each class were predicted.

    Args:
        evaluation: What `tlmed.metrics.evaluate` returns; `classes` and `confusion` are used.

    >>> confusion_matrix({"classes": ["a", "b"], "confusion": [[3, 1], [0, 4]]}).axes[0].get_ylabel()
    'true class'
    """
    counts = unpack_confusion(evaluation)
    names = [literal(name) for name in evaluation["classes"]]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # 1: a class without images has no shares
    side = min(2.4 + 0.75 * len(names), 14) if len(names) <= MOST_NAMED else 7
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap=BLUES, vmin=0, vmax=1)
    small = len(names) <= _LARGEST_WRITTEN
    ticks = range(len(names)) if len(names) <= MOST_NAMED else ()
    names = [names[i] for i in ticks]
    # A few short names fit side by side.
    axes.set_xticks(ticks, names, rotation=0 if max(map(len, names), default=0) <= 9 and len(names) < 6 else 90)
    axes.set_yticks(ticks, names)
    axes.tick_params(length=0, labelsize="medium" if small else "x-small")
    order = "" if names else ", in their order"
    axes.set(xlabel=f"predicted class{order}", ylabel=f"true class{order}")
    axes.spines[:].set_visible(False)
    for (row, column), count in np.ndenumerate(counts) if small else ():
        colour = "white" if shares[row, column] > 0.9 else "black"
        text = f"{count}\n{percent(shares[row, column])}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8, format="{x:.0%}")
    return figure


def example_grid(images: np.ndarray, captions: Sequence[str]) -> Figure:
    """Draw images in rows, each with a caption.

    Args:
        images: RGB, uint8 [n, height, width, 3], n of 1 or more.
        captions: One text per image.
    """
    if len(images) != len(captions) or not len(images):
        raise ValueError(f"One caption per image, one or more. Received: {len(images)} and {len(captions)}.")
    across = min(len(images), max(3, math.ceil(math.sqrt(len(images)))))
    down = math.ceil(len(images) / across)
    height, width = images.shape[1:3]
    figure = Figure(figsize=(2.0 * across, down * (2.0 * height / width + 0.35)), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, image, caption in zip(panels, images, captions, strict=False):
        axes.imshow(image, interpolation="antialiased")
        axes.set_title(literal(caption), fontsize="small")
    return figure


def _list_curves(predictions, split, positive) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, truth and scores of the positive class of two, else of each class, or of each of several labels."""
    chosen = predictions.of(split)
    main = None if chosen.is_multi else positive_index(chosen.classes, positive)
    for column in range(len(chosen.classes)) if main is None else [main]:
        yield chosen.classes[column], *take_side(chosen, column)


def _size_curves(drawn) -> tuple[float, float]:
    """Return the size of a square picture with room for its legend below, in inches."""
    return 4.6, 4.2 + 0.19 * min(len(drawn), MOST_CURVES)


def _choose_named(drawn: Sequence[tuple]) -> tuple[list[tuple], list[tuple]]:
    """Divide curves, each an area, a name and more, into those of the smallest areas, in order, and all others."""
    least = sorted(range(len(drawn)), key=lambda place: drawn[place][0])[:MOST_CURVES]
    return [drawn[place] for place in sorted(least)], [drawn[i] for i in sorted(set(range(len(drawn))) - set(least))]


def _list_styles() -> Iterator[dict]:
    for line, colour in itertools.product(LINES, COLOURS):
        yield {"color": colour, "linestyle": line, "linewidth": 1.8}


def _draw_others(axes, curves: Sequence[tuple]):
    """Draw curves without a name as one object, because a thousand separate ones would take a minute."""
    if not curves:
        return
    lines = [np.column_stack(curve) for curve in curves]
    # Above the grid, below the named curves.
    axes.add_collection(LineCollection(lines, colors=UNNAMED, linewidths=0.7, zorder=1.5), autolim=False)
