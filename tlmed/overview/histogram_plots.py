"""Plots of sizes and intensities by class."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from tlmed.evaluation.drawing import COLOURS, LINES, UNNAMED, add_legend, literal, tidy

MOST_COLOURED = len(COLOURS)
BINS = 64
_LOWEST = 1e-3  # per cent of the pixels: the lowest end of a logarithmic axis
_MARKERS = "os^Dv<>"


def draw_histograms(edges: np.ndarray, shares: Mapping[str, np.ndarray], xlabel: str) -> Figure:
    """Draw the histogram of each class over those of the others.

    Args:
        edges: Of the bins, [bins + 1].
        shares: Of the pixels of each class, [bins]; the first `MOST_COLOURED` classes have a colour.
        xlabel: What the values are.

    >>> draw_histograms(np.arange(3), {"a": np.array([0.25, 0.75])}, "value").axes[0].get_xlabel()
    'value'
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, (name, share) in reversed(list(enumerate(shares.items()))):
        if place < MOST_COLOURED:
            style = {"edgecolor": COLOURS[place], "linestyle": LINES[place % len(LINES)], "label": literal(name)}
        else:
            style = {"edgecolor": UNNAMED}
        axes.stairs(100 * share, edges, baseline=None, linewidth=1.6, zorder=2 if "label" in style else 1, **style)
    tidy(axes, xlabel=xlabel, ylabel="% of the pixels", yscale="log")
    axes.set_ylim(bottom=_LOWEST)
    axes.margins(x=0.01)
    _add_names(axes)
    return figure


def draw_sizes(heights: np.ndarray, widths: np.ndarray, members: Mapping[str, np.ndarray]) -> Figure:
    """Draw height against width of each image.

    Args:
        heights: In pixels, [n].
        widths: The same.
        members: Names of the classes to which of the images are of it, bool [n]; the first `MOST_COLOURED` have a
            colour.
    """
    figure = Figure(figsize=(6, 4.6), layout="constrained")
    axes = figure.subplots()
    for place, (name, chosen) in reversed(list(enumerate(members.items()))):
        if place < MOST_COLOURED:
            style = {"color": COLOURS[place], "marker": _MARKERS[place], "label": literal(name), "zorder": 2}
        else:
            style = {"color": UNNAMED, "marker": "."}
        axes.scatter(widths[chosen], heights[chosen], s=18, alpha=0.5, linewidths=0, **style)
    tidy(axes, xlabel="width in pixels", ylabel="height in pixels")
    _add_names(axes)
    return figure


def _add_names(axes) -> None:
    """Name the classes below, in their order: the first was drawn last, over the others."""
    handles, names = axes.get_legend_handles_labels()
    add_legend(axes, ncols=3, handles=handles[::-1], labels=names[::-1])
