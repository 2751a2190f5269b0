"""Pictures of a search: its course, and what its winners are worth."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tlmed.evaluation.drawing import COLOURS, UNNAMED, tidy
from tlmed.study_report.search_scores import SearchRecord

_WIDTH = 5.2  # inches, as the pictures of studies
KINDS = {"validation": "in the search", "fresh": "fresh draws", "test": "test images"}


def draw_course(record: SearchRecord, metric: str) -> Figure:
    """Draw the validation score of each candidate in the order of trial, and the best one so far.

    The best so far is that of all draws, of which the winner is one; candidates that were given up have fewer.
    """
    figure = Figure(figsize=(_WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    tidy(axes, xlabel="candidate", ylabel=f"validation {metric}")
    for place, search in enumerate(record.searches):
        colour = COLOURS[place % len(COLOURS)]
        own = [row for row in record.rows if row["fold"] in ("", str(search["fold"])) and row["validation"]]
        for row in own:
            face = colour if row["state"] == "complete" else "white"
            axes.plot(int(row["candidate"]), float(row["validation"]), "o", color=colour, markerfacecolor=face, ms=5)
        xs, best = _follow_best(own)
        axes.step(xs, best, where="post", color=colour, linewidth=1.2)
    if len(record.searches) > 1:
        handles = [
            Line2D([], [], color=COLOURS[place % len(COLOURS)], label=f"fold {search['fold']}")
            for place, search in enumerate(record.searches)
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize="small")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _follow_best(rows: Sequence[Mapping[str, str]]) -> tuple[list[int], list[float]]:
    """Return after which candidates the best that was judged on all draws changed, and its score.

    >>> rows = [{"candidate": str(n), "validation": v, "state": "complete"} for n, v in ((1, "0.8"), (2, "0.7"))]
    >>> _follow_best(rows)
    ([1, 2], [0.8, 0.8])
    """
    xs, best = [], []
    for row in rows:
        if row["state"] == "complete":
            best.append(max(float(row["validation"]), best[-1] if best else float("-inf")))
            xs.append(int(row["candidate"]))
        elif best:
            best.append(best[-1])
            xs.append(int(row["candidate"]))
    return xs, best


def draw_worth(searches: Sequence[Mapping], metric: str) -> Figure:
    """Draw what each search promised of its winner beside what test images gave, a line for each search."""
    kinds = [kind for kind in KINDS if any(search[kind] is not None for search in searches)]
    figure = Figure(figsize=(_WIDTH, 3.2), layout="constrained")
    axes = figure.subplots()
    tidy(axes, ylabel=metric)
    for search in searches:
        known = [place for place, kind in enumerate(kinds) if search[kind] is not None]
        axes.plot(known, [search[kinds[place]] for place in known], "o-", color=COLOURS[0], linewidth=1, markersize=5)
    if len(searches) > 1:
        means = [sum(search[kind] for search in searches) / len(searches) for kind in kinds]
        axes.plot(range(len(kinds)), means, "_", color=UNNAMED, markersize=26, markeredgewidth=3)
    axes.set_xticks(range(len(kinds)), [KINDS[kind] for kind in kinds])
    axes.set_xlim(-0.4, len(kinds) - 0.6)
    return figure
