"""Pictures of a study: mean ranks and what is not told apart, scores against costs and data size, variance."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from tlmed.contests import Ranking, VarianceShares
from tlmed.evaluation.drawing import COLOURS, UNNAMED, literal, tidy
from tlmed.study_report.analysis import Analysis
from tlmed.study_report.study_scores import SIZE

_WIDTH = 5.2  # inches: narrow, so that a phone need not make the letters small
_LOG_FROM = 8  # the axis is logarithmic if the largest value is so many times the smallest
_LONGEST = 34  # characters of a name
_MARKERS = "os^Dv<>Pp*hX"


def draw_ranks(names: Sequence[str], ranking: Ranking) -> Figure:
    """Draw a critical-difference diagram (Demšar 2006): mean ranks on a line, and bars over those not told apart.

    Args:
        names: One for each configuration.
        ranking: Their mean ranks.

    >>> import numpy as np
    >>> from tlmed.contests import rank_places
    >>> draw_ranks(["a", "b"], rank_places(np.array([[0.9, 0.8], [0.8, 0.7]]))).axes[0].get_xlabel()
    'mean rank'
    """
    order = np.argsort(ranking.ranks)
    rows = len(order) + len(ranking.alike)
    figure = Figure(figsize=(_WIDTH, 1.1 + 0.3 * rows), layout="constrained")
    axes = figure.subplots()
    tidy(axes, xlabel="mean rank")
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.set_xlim(0.8, len(order) + 0.2)
    for height, group in enumerate(ranking.alike):
        ends = [min(ranking.ranks[i] for i in group), max(ranking.ranks[i] for i in group)]
        axes.plot(ends, [height, height], color="#777777", linewidth=4, solid_capstyle="butt")
    for place, i in enumerate(order):
        height, rank = len(ranking.alike) + place, ranking.ranks[i]
        axes.plot(rank, height, "o", color=COLOURS[0])
        left = rank > (len(order) + 1) / 2
        axes.annotate(
            f"{literal(_shorten(names[i]))}  {rank:.2f}",
            (rank, height),
            xytext=(-7 if left else 7, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize="small",
        )
    axes.set_ylim(rows - 0.3, -0.7)
    return figure


def draw_costs(analysis: Analysis, cost: str, xlabel: str, metric: str) -> Figure:
    """Draw scores against a cost; those that no other beats in both are joined by a line.

    Args:
        analysis: The study.
        cost: "seconds", or "millions" of parameters.
        xlabel: What it is called.
        metric: What the score is called.
    """
    scores = analysis.scores
    values = [getattr(each, cost) for each in scores.configurations]
    figure = Figure(figsize=(_WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    tidy(axes, xlabel=xlabel, ylabel=metric)
    front = sorted(analysis.front[cost], key=lambda i: values[i])
    axes.plot([values[i] for i in front], [scores.means[i] for i in front], color="#777777", linewidth=1, zorder=1)
    for i, number in enumerate(np.argsort(analysis.order) + 1):
        inside = i in front
        axes.plot(values[i], scores.means[i], "o", color=COLOURS[0] if inside else UNNAMED, markersize=6, zorder=2)
        axes.annotate(
            str(number), (values[i], scores.means[i]), xytext=(5, 4), textcoords="offset points", fontsize="small"
        )
    if min(values) > 0 and max(values) > _LOG_FROM * min(values):
        _make_logarithmic(axes)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter("{x:,g}")
    return figure


def _make_logarithmic(axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def draw_sizes(analysis: Analysis, metric: str) -> Figure:
    """Draw the mean score against the number of training images, a line for each approach and backbone.

    After figure 6 of Kim et al. (BMC Medical Imaging 2022, 22:69), which has a point for each published study.
    """
    scores = analysis.scores
    figure = Figure(figsize=(_WIDTH, 4.4), layout="constrained")
    axes = figure.subplots()
    tidy(axes, xlabel="training images", ylabel=metric)
    handles = []
    for number, (name, places) in enumerate(_group_sizes(analysis).items()):
        points = sorted((scores.configurations[i].train_images, i) for i in places)
        style = {"color": COLOURS[number % len(COLOURS)], "marker": _MARKERS[number % len(_MARKERS)], "linewidth": 1.4}
        xs, means = [x for x, _ in points], [analysis.means[i] for _, i in points]
        axes.plot(xs, [mean.value for mean in means], **style)
        known = [(x, mean) for x, mean in zip(xs, means, strict=True) if mean.low is not None]
        axes.vlines(
            [x for x, _ in known],
            [m.low for _, m in known],
            [m.high for _, m in known],
            color=style["color"],
            alpha=0.4,
        )
        handles.append(Line2D([], [], label=literal(_shorten(name)), **style))
    _make_logarithmic(axes)
    figure.legend(handles=handles, loc="outside lower left", ncols=1, frameon=False, fontsize="small")
    return figure


def _group_sizes(analysis) -> Mapping[str, list[int]]:
    """Return the configurations that differ only in their share of the training images, by what they have in common."""
    found: dict[str, list[int]] = {}
    fields = [each.fields for each in analysis.scores.configurations]
    differ = [name for name in fields[0] if name != SIZE and len({each[name] for each in fields}) > 1]
    for i, each in enumerate(fields):
        found.setdefault(", ".join(each[name] for name in differ) or each["recipe"], []).append(i)
    return found


def draw_shares(shares: VarianceShares) -> Figure:
    """Draw which share of the variance each factor has, as bars."""
    names = list(shares.shares)
    figure = Figure(figsize=(_WIDTH, 0.8 + 0.34 * len(names)), layout="constrained")
    axes = figure.subplots()
    tidy(axes, xlabel="share of the variance")
    axes.barh(range(len(names)), list(shares.shares.values()), color=COLOURS[0], height=0.6)
    axes.set_yticks(range(len(names)), [literal(name) for name in names])
    axes.set(ylim=(len(names) - 0.4, -0.6), xlim=(0, 1))
    return figure


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
