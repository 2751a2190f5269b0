"""The plot of a learning curve: what was measured, the curve that was fitted, and what it forecasts."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from tlmed.evaluation.drawing import COLOURS, tidy


def draw_forecast(figures: Mapping) -> Figure:
    """Draw the AUC against the number of training images, on a logarithmic axis.

    Args:
        figures: Of `tlmed.gate.learning_curves.forecast`: `points`, `fit`, `forecast` and `metric`.
    """
    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    axes = figure.subplots()
    points, ahead, fit = figures["points"], figures["forecast"], figures["fit"]
    sizes = np.geomspace(points[0]["n"], max(entry["n"] for entry in (*points, *ahead)), 100)
    axes.plot(sizes, fit["a"] - fit["b"] * sizes ** -fit["c"], color=COLOURS[0], linewidth=1.6)
    for entries, colour, marker in ((points, COLOURS[0], "o"), (ahead, COLOURS[1], "D")):
        middle = np.array([entry["auc"] for entry in entries])
        ends = np.array([[entry["low"] for entry in entries], [entry["high"] for entry in entries]])
        reach = np.maximum(0, [middle - ends[0], ends[1] - middle])
        places = [entry["n"] for entry in entries]
        axes.errorbar(places, middle, reach, fmt=marker, color=colour, capsize=3, markersize=5, linewidth=1.2)
    tidy(axes, xlabel="training images", ylabel=figures["metric"], xscale="log")
    ticks = [entry["n"] for entry in (*points[::2], *ahead)]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=45)
    axes.minorticks_off()
    return figure
