"""Plots of a comparison, in colours and shapes that the colour-blind can tell apart; each point has its number."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from tlmed.comparison.sentences import say_difference, say_score
from tlmed.comparison.traits import APPROACHES, UNSTATED
from tlmed.evaluation.drawing import COLOURS, LINES, UNNAMED, literal, tidy
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.score_plots import MOST_CURVES, area_of, take_side
from tlmed.metrics import macro_auc, roc_curve
from tlmed.metrics.label_metrics import macro_area
from tlmed.sections.image_attributes import MODALITIES

MARKERS = dict(zip(APPROACHES, "os^D*PvX", strict=True))
MODALITY_MARKERS = dict(zip((*MODALITIES, UNSTATED), "os^Dv<>Pp*hX", strict=True))
_WIDTH = 5.2  # inches: narrow, so that a phone need not make the letters small
_LONGEST_NAME = 30
_LOG_FROM = 8  # the axis is logarithmic if the largest value is so many times the smallest
_STEP, _MOST = 0.04, 0.4  # between points that share a place, and for all of them, by the length of the axis


@dataclass(frozen=True)
class Point:
    """A run in a picture.

    Attributes:
        number: Which run it is.
        x: Training images, or seconds; above 0.
        score: Its metric, with `value`, `low` and `high`.
        backbone: Its colour.
        approach: Its marker, one of `APPROACHES`.
        modality: Its colour and its marker, in a picture by modality; "" in any other.
    """

    number: int
    x: float
    score: Mapping
    backbone: str
    approach: str
    modality: str = ""

    @property
    def marker(self) -> str:
        """Return its marker, as Matplotlib calls it."""
        return MODALITY_MARKERS[self.modality] if self.modality else MARKERS[self.approach]


def draw_scores(names: Sequence[str], entries: Sequence[Mapping], metric: str) -> Figure:
    """Draw a forest plot: each run's metric with its interval, name and numbers above it.

    Args:
        names: One per run.
        entries: `value`, `low` and `high` of each; None where undefined.
        metric: Its name.

    >>> draw_scores(["a"], [{"value": 0.9, "low": 0.8, "high": 0.95}], "AUC").axes[0].get_xlabel()
    'AUC'
    """
    figure, axes = _prepare(names, metric)
    for place, entry in enumerate(entries):
        _draw_interval(axes, place, entry, filled=True)
        _write(axes, place, 1, "right", say_score(entry))
    return figure


def draw_differences(
    names: Sequence[str], entries: Sequence[Mapping], shown: Sequence[bool], metric: str, best: str
) -> Figure:
    """Draw a forest plot of differences from the best run; one that was not shown has an open marker.

    Args:
        names: One per run but the best.
        entries: The metric of each minus that of the best: `value`, `low` and `high`.
        shown: Whether each counts as shown.
        metric: Its name.
        best: The best run's name.
    """
    figure, axes = _prepare(names, f"{metric}, minus that of {_shorten(best)}")
    axes.axvline(0, color="#777777", linewidth=1, linestyle="--", zorder=1)
    for place, (entry, filled) in enumerate(zip(entries, shown, strict=True)):
        _draw_interval(axes, place, entry, filled)
        _write(axes, place, 1, "right", say_difference(entry))
    return figure


def draw_curves(names: Sequence[str], tests: Sequence[Predictions], columns: Sequence[int]) -> Figure:
    """Draw the ROC curves of runs over each other; of many runs those with the smallest areas are grey, without a name.

    Args:
        names: One per run.
        tests: The predictions of each for the same test images.
        columns: The classes, a panel for each.
    """
    across = min(len(columns), 3)
    down = -(-len(columns) // across)
    side = _WIDTH if across == 1 else 3
    figure = Figure(figsize=(side * across, side * down * 0.95), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    find_area = macro_area if tests[0].is_multi else macro_auc
    ranks = np.argsort([-(find_area(test.labels, test.scores) or 0) for test in tests], kind="stable").tolist()
    # All colours come before the second kind of line, because colours are easier to tell apart.
    styles = dict(zip(sorted(ranks[:MOST_CURVES]), itertools.product(LINES, COLOURS), strict=False))
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    for axes, column in zip(panels, columns, strict=False):
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
        for place in reversed(ranks):  # the best on top
            if area_of(tests[place], column) is None:
                continue
            line, colour = styles.get(place, ("-", UNNAMED))
            curve = roc_curve(*take_side(tests[place], column))
            axes.plot(*curve, color=colour, linestyle=line, linewidth=1.6 if place in styles else 0.7)
        tidy(axes, xlabel="1 - specificity", ylabel="sensitivity")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        if len(columns) > 1:
            axes.set_title(literal(tests[0].classes[column]), fontsize="medium")
    handles = [
        Line2D([], [], color=colour, linestyle=line, label=literal(_shorten(names[place])))
        for place, (line, colour) in styles.items()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=min(across, 2), frameon=False, fontsize="small")
    return figure


def draw_against(points: Sequence[Point], xlabel: str, metric: str) -> Figure:
    """Draw score against size or cost: the backbone as colour, the approach as marker, each point with its number.

    Where points have a modality, it is colour and marker.

    Points of the same place are drawn side by side. The axis is logarithmic where the largest is more than eight times
    the smallest.

    Args:
        points: The runs, one or more.
        xlabel: What `Point.x` is.
        metric: What `Point.score` is.

    >>> point = Point(1, 546.0, {"value": 0.9, "low": 0.8, "high": 0.95}, "VGG16", "fine-tuning")
    >>> draw_against([point], "training images", "AUC").axes[0].get_xscale()
    'linear'
    """
    figure = Figure(figsize=(_WIDTH, 4.4), layout="constrained")
    axes = figure.subplots()
    log = max(point.x for point in points) > _LOG_FROM * min(point.x for point in points)
    colours = _choose_colours([point.modality or point.backbone for point in points])
    for point, x in zip(points, _spread([point.x for point in points], log), strict=True):
        _draw_point(axes, point, x, colours[point.modality or point.backbone])
    tidy(axes, xlabel=xlabel, ylabel=metric)
    _scale(axes, log)
    if len({point.x for point in points}) == 1:
        axes.set_xticks([points[0].x])
    figure.legend(
        handles=_make_key(points, colours), loc="outside lower left", ncols=2, frameon=False, fontsize="small"
    )
    return figure


def _prepare(names, xlabel):
    """Return a figure with a row for each name, which stands above its interval."""
    figure = Figure(figsize=(_WIDTH, 0.8 + 0.45 * len(names)), layout="constrained")
    axes = figure.subplots()
    tidy(axes, xlabel=xlabel)
    axes.set_ylim(len(names) - 0.7, -0.8)  # the first on top
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    for place, name in enumerate(names):
        _write(axes, place, 0, "left", literal(_shorten(name)))
    return figure, axes


def _draw_interval(axes, place, entry, filled):
    if entry["value"] is None:
        return
    if entry["low"] is not None:
        axes.plot([entry["low"], entry["high"]], [place, place], color=COLOURS[0], linewidth=2, solid_capstyle="butt")
    face = COLOURS[0] if filled else "white"
    axes.plot(entry["value"], place, "o", color=COLOURS[0], markerfacecolor=face, markersize=7)


def _write(axes, place, x, side, words):
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # hides the lines of the grid below the text
    style = {"ha": side, "va": "bottom", "fontsize": 9.5, "bbox": paper}
    axes.text(x, place - 0.25, words, transform=axes.get_yaxis_transform(), **style)


def _spread(places, log) -> list[float]:
    """Return places in which points with the same place are moved side by side."""
    values = np.log(places) if log else np.array(places, dtype=float)
    most = max(np.isclose(values, value).sum() for value in values)
    width = np.ptp(values) or (1.0 if log else values[0])  # of a single place any will do
    step = min(_STEP, _MOST / most) * width
    moved = []
    for i, value in enumerate(values):
        same = np.flatnonzero(np.isclose(values, value))
        moved.append(value + step * (int((same < i).sum()) - (len(same) - 1) / 2))
    return (np.exp(moved) if log else np.array(moved)).tolist()


def _draw_point(axes, point, x, style):
    value, low, high = (point.score[part] for part in ("value", "low", "high"))
    colour, filled = style
    if low is not None:
        axes.plot([x, x], [low, high], color=colour, linewidth=1, alpha=0.6)
    face = colour if filled else "white"
    axes.plot(x, value, point.marker, color=colour, markerfacecolor=face, markersize=9)
    top = (x, value) if high is None else (x, high)  # the end of the line, where no other marker is
    axes.annotate(str(point.number), top, xytext=(0, 6), textcoords="offset points", ha="center", fontsize=9.5)


def _choose_colours(names) -> dict[str, tuple[str, bool]]:
    """Return a colour for each name, and whether its markers are filled: open ones when the colours begin anew."""
    names = list(dict.fromkeys(names))
    return {name: (COLOURS[i % len(COLOURS)], i // len(COLOURS) % 2 == 0) for i, name in enumerate(names)}


def _make_key(points, colours) -> list[Line2D]:
    if points[0].modality:
        return [_show_modality(name, *colours[name]) for name in colours]
    used = [approach for approach in APPROACHES if any(point.approach == approach for point in points)]
    lines = [
        Line2D([], [], color=colour, linewidth=5 if filled else 1.5, label=literal(_shorten(name)))
        for name, (colour, filled) in colours.items()
    ]
    markers = [
        Line2D([], [], color="#555555", linestyle="", marker=MARKERS[approach], markersize=8, label=approach)
        for approach in used
    ]
    return lines + markers


def _show_modality(name, colour, filled) -> Line2D:
    face = colour if filled else "white"
    style = {"linestyle": "", "marker": MODALITY_MARKERS[name], "markersize": 8}
    return Line2D([], [], color=colour, markerfacecolor=face, label=name, **style)


def _scale(axes, log):
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif axes.get_xlim()[1] > 10:
        # Labels are whole numbers: two ticks within one of them would read the same.
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}" if axes.get_xlim()[1] > 10 else "{x:g}")
    axes.margins(x=0.1, y=0.08)


def _shorten(name: str) -> str:
    """Return a name that leaves room beside it: its beginning and its end, where runs differ as a rule."""
    half = (_LONGEST_NAME - 3) // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}...{name[-half:]}"
