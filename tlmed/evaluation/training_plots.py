"""Plots of the training: scores epoch by epoch, and degree by degree."""

import itertools
import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tlmed.evaluation.drawing import COLOURS, TEST_STYLE, VALIDATION_STYLE, add_legend, literal, tidy
from tlmed.words import tell_apart

_CURVES = {"loss": ("loss", "val_loss"), "accuracy and AUC": ("accuracy", "val_accuracy", "val_auc")}
_NAMES = {
    "loss": "training",
    "val_loss": "validation",
    "accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "val_auc": "validation AUC",
}
_DEGREE_NAMES = {**_NAMES, "val_loss": "validation loss", "test_auc": "test AUC"}
_MOST_TICKS = 14  # more would touch each other


def learning_curves(history: Sequence[Mapping]) -> Figure:
    """Draw loss, accuracy and AUC per epoch, phase after phase.

    Args:
        history: One row per epoch, as in `history.csv`: `phase`, `epoch` (from 1 in each phase) and any of
            `loss`, `accuracy`, `val_loss`, `val_accuracy`, `val_auc`; a value may be None.

    >>> rows = [{"phase": "head", "epoch": 1, "loss": 0.7}, {"phase": "head", "epoch": 2, "loss": 0.5}]
    >>> [axes.get_ylabel() for axes in learning_curves(rows).axes]
    ['loss', 'accuracy and AUC']
    """
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True)
    phases = [row["phase"] for row in history]
    for axes, (title, names) in zip(panels, _CURVES.items(), strict=True):
        for name, colour, line in zip(names, COLOURS, ("-", "--", "-."), strict=False):
            _draw_curve(axes, history, name, colour, line)
        tidy(axes, xlabel="epoch", ylabel=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(0.5, max(len(phases), 1) + 0.5)
        _mark_phases(axes, phases)
        add_legend(axes, ncols=2)
    return figure


def score_by_strength(path: Sequence[Mapping]) -> Figure:
    """Draw loss, and accuracy and AUC, against the strength of L2 of a head that was solved; mark the chosen one.

    Args:
        path: Rows of one phase, as in `strengths.csv`.

    >>> row = {"l2": "0.1", "loss": "0.3", "val_loss": "0.5", "val_accuracy": "0.8", "val_auc": "0.9", "chosen": "yes"}
    >>> [axes.get_xscale() for axes in score_by_strength([row]).axes]
    ['log', 'log']
    """
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(1, 2, sharex=True), _CURVES.items(), strict=True):
        for name, colour, line in zip(names, COLOURS, ("-", "--", "-."), strict=False):
            if points := _numbers(((float(row["l2"]), row) for row in path), name):
                bold = 2.4 if name == "val_loss" else 1.2  # the loss chooses
                style = {"color": colour, "marker": "o", "markersize": 3, "linewidth": bold, "label": _NAMES[name]}
                axes.plot(*zip(*points, strict=True), line, **style)
        for row in path:
            if row["chosen"] == "yes":
                axes.axvline(float(row["l2"]), color="#999999", linewidth=1, linestyle=":", zorder=0)
        tidy(axes, xlabel="strength of L2", ylabel=title)
        axes.set_xscale("log")
        add_legend(axes, ncols=2)
    return figure


def score_by_degree(degrees: Sequence[Mapping], monitor: str = "val_auc") -> Figure:
    """Draw the validation score, and the test AUC if there is one, against the degree; mark the kept degree.

    A monitored loss gets a panel of its own, because its scale is another.

    Args:
        degrees: One row per degree, as in `degrees.csv`; an empty score is left out.
        monitor: The validation score that chose: `val_auc`, `val_accuracy` or `val_loss`.

    >>> row = {"phase": "head", "unit": "block", "blocks": "0", "layers": "0", "fine_tuning_ratio": "0", "kept": "yes"}
    >>> score_by_degree([{**row, "val_auc": "0.9", "test_auc": "0.8"}]).axes[0].get_legend_handles_labels()[1]
    ['validation AUC', 'test AUC', 'kept']
    """
    tested = ("test_auc",) if any(row.get("test_auc") for row in degrees) else ()
    panels = (("val_loss",), *(tested and (tested,))) if monitor == "val_loss" else ((monitor, *tested),)
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    unit = "block" if all(row["unit"] == "block" for row in degrees) else "layer"
    places = _place_degrees([int(row[f"{unit}s"]) for row in degrees])
    ratios = tell_apart(*(float(row["fine_tuning_ratio"]) for row in degrees), places=2)
    labels = [f"{row[f'{unit}s']}\n{ratio}" for row, ratio in zip(degrees, ratios, strict=True)]
    step = math.ceil(len(degrees) * len(panels) / _MOST_TICKS)
    for axes, names in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_scores(axes, places, degrees, names)
        _mark_kept(axes, places, degrees, names)
        ylabel = " and ".join(_DEGREE_NAMES[name] for name in names)
        tidy(axes, xlabel=f"{unit}s thawed\nfine-tuning ratio", ylabel=ylabel)
        axes.set_xticks(places[::step], labels[::step])
        axes.margins(x=0.06, y=0.12)
        add_legend(axes, lines=3, ncols=2, labelspacing=0.9)  # the ring is larger than a line of text
    return figure


def _draw_curve(axes, history, name, colour, line):
    points = _numbers(enumerate(history, 1), name)
    if points:
        marker = "o" if len(points) <= 30 else None  # more would touch each other
        axes.plot(*zip(*points, strict=True), line, color=colour, marker=marker, markersize=3, label=_NAMES[name])


def _numbers(placed_rows, name) -> list[tuple[float, float]]:
    """Return place and value of a column where it has a value."""
    return [(place, float(row[name])) for place, row in placed_rows if row.get(name) not in (None, "")]


def _place_degrees(thawed: Sequence[int]) -> list[int]:
    """Return where degrees stand: at what they thaw, or in their order where that does not grow."""
    growing = all(before < after for before, after in itertools.pairwise(thawed))
    return list(thawed) if growing else list(range(len(thawed)))


def _draw_scores(axes, places, degrees, names):
    for name in names:
        colour, line, marker = TEST_STYLE if name == "test_auc" else VALIDATION_STYLE
        if points := _numbers(zip(places, degrees, strict=True), name):
            label = _DEGREE_NAMES[name]
            axes.plot(*zip(*points, strict=True), line, color=colour, marker=marker, markersize=5, label=label)


def _mark_kept(axes, places, degrees, names):
    """Ring the scores of the kept degree, and name it above."""
    kept = [(place, row) for place, row in zip(places, degrees, strict=True) if row["kept"] == "yes"]
    rings = [point for name in names for point in _numbers(kept, name)]
    if rings:
        style = {"markeredgecolor": "#000000", "markerfacecolor": "none", "markersize": 13, "markeredgewidth": 1.6}
        axes.plot(*zip(*rings, strict=True), "o", label="kept", **style)
    for place, row in kept:
        axes.axvline(place, color="#999999", linewidth=1, linestyle=":", zorder=0)
        right = place > (places[0] + places[-1]) / 2
        axes.text(
            place,
            1.01,
            f"kept: {literal(row['phase'])}",
            transform=axes.get_xaxis_transform(),
            ha="right" if right else "left",
            va="bottom",
            fontsize="small",
        )


def _mark_phases(axes, phases):
    """Draw a line where a new phase begins, and name the phases above."""
    starts = [i for i, phase in enumerate(phases) if i == 0 or phase != phases[i - 1]]
    step = math.ceil(len(starts) / _MOST_TICKS)
    for number, (start, end) in enumerate(itertools.pairwise([*starts, len(phases)])):
        if number:
            axes.axvline(start + 0.5, color="#999999", linewidth=1, linestyle=":")
        short = len(starts) > 3
        if number % step:  # of many phases only some can be named
            continue
        axes.text(
            start + 0.5 if short else (start + end + 1) / 2,
            1.01,
            literal(phases[start]),
            transform=axes.get_xaxis_transform(),
            ha="left" if short else "center",
            va="bottom",
            rotation=35 if short else 0,
            fontsize="small",
            color="#555555",
        )
