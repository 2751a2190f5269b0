"""Pictures of a check for drift: how scores are distributed, and how months differ."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from tlmed.evaluation.drawing import TEST_STYLE, VALIDATION_STYLE, add_legend, literal, tidy

_WIDTH = 5.2  # inches: narrow, so that a phone need not make the letters small


def draw_distributions(names: Sequence[str], there: Sequence[np.ndarray], here: Sequence[np.ndarray]) -> Figure:
    """Draw the cumulative distribution of each class's scores, on the test split and since.

    Args:
        names: Of the k classes that are shown.
        there: Scores of each on the test split, float [n].
        here: Scores of each since, float [m].

    >>> draw_distributions(["ill"], [np.array([0.1, 0.9])], [np.array([0.5])]).axes[0].get_xlabel()
    'score of ill'
    """
    figure = Figure(figsize=(_WIDTH, 2.6 * len(names)), layout="constrained")
    for axes, name, *parts in zip(np.ravel(figure.subplots(len(names))), names, there, here, strict=True):
        for scores, label, (colour, line, _) in zip(
            parts, ("test split", "since"), (VALIDATION_STYLE, TEST_STYLE), strict=True
        ):
            axes.ecdf(scores, label=label, color=colour, linestyle=line)
        tidy(axes, xlabel=f"score of {literal(name)}", ylabel="share of images at most", xlim=(0, 1))
        add_legend(axes, ncols=2)
    return figure


def draw_months(periods: Sequence[Mapping], there: float, alarm: float) -> Figure:
    """Draw the share of unusual images of each month, with its interval.

    Args:
        periods: Of `watch.json`, months with `unusual`.
        there: The share on the test split.
        alarm: The share that is expected.

    >>> month = {"period": "2026-01", "unusual": {"value": 0.1, "low": 0.05, "high": 0.2}}
    >>> draw_months([month], 0.05, 0.05).axes[0].get_ylabel()
    'share of unusual images'
    """
    figure = Figure(figsize=(_WIDTH, 2.8), layout="constrained")
    axes = figure.subplots()
    places, found = np.arange(len(periods)), [period["unusual"] for period in periods]
    values, low, high = (
        np.array([part["value"] if part[end] is None else part[end] for part in found])
        for end in ("value", "low", "high")
    )
    bounds, style = [values - low, high - values], {"fmt": "o-", "color": TEST_STYLE[0], "capsize": 3}
    axes.errorbar(places, values, bounds, label="month", **style)
    axes.axhline(there, color=VALIDATION_STYLE[0], linestyle="--", label="test split")
    axes.axhline(alarm, color="#777777", linestyle=":", label="expected")
    axes.set_xticks(places, [period["period"] for period in periods], rotation=45, ha="right")
    tidy(axes, ylabel="share of unusual images", ylim=(0, None))
    add_legend(axes, lines=3, ncols=3)
    return figure
