"""Pictures of an advice: the probes with their intervals, and what was gained step by step against the minutes."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tlmed.advice_report.advice_record import Candidate
from tlmed.evaluation.drawing import COLOURS, UNNAMED, literal, tidy

_WIDTH = 5.2  # inches, as the pictures of studies: a phone need not make the letters small
_LONGEST = 30  # characters of a name
_CHANCE = 0.5


def draw_probes(probes: Sequence[Candidate], metric: str, chance: float | None = _CHANCE) -> Figure:
    """Draw scores with their 95 % intervals, a row for each, the best on top; what was not kept is open.

    Args:
        probes: Those with a score; at least one.
        metric: What the score is called.
        chance: What guessing gives, which becomes a line where it is near; None for no line.
    """
    order = sort_probes(probes)
    figure = Figure(figsize=(_WIDTH, 1.0 + 0.34 * len(order)), layout="constrained")
    axes = figure.subplots()
    tidy(axes, xlabel=f"{metric} of development images")
    for place, one in enumerate(order):
        score = one.score
        if score.get("low") is not None and score.get("high") is not None:
            axes.plot([score["low"], score["high"]], [place, place], color=COLOURS[0], linewidth=1.6)
        face = COLOURS[0] if one.is_kept else "white"
        axes.plot(score["value"], place, "o", color=COLOURS[0], markerfacecolor=face, markersize=6)
    axes.set_yticks(range(len(order)), [literal(_shorten(one.name)) for one in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    if chance is not None and axes.get_xlim()[0] < chance < axes.get_xlim()[1]:
        axes.axvline(chance, color=UNNAMED, linewidth=1.2, zorder=0)
    return figure


def sort_probes(probes: Sequence[Candidate]) -> list[Candidate]:
    """Return what has a score, the highest first."""
    return sorted((one for one in probes if one.score), key=lambda one: -one.score["value"])


def draw_gain(tried: Sequence[Candidate], metric: str) -> Figure:
    """Draw the level of the best so far against the minutes since the beginning, with the noise of each difference.

    Args:
        tried: What `find_timed` gives; at least one.
        metric: What the score is called.
    """
    figure = Figure(figsize=(_WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    tidy(axes, xlabel="minutes", ylabel=f"{metric} of development images")
    best = follow_best(tried)
    for one in tried:
        minutes, noise = one.entry["ended"] / 60, (one.gain or {}).get("noise")
        colour, fill = (COLOURS[0], COLOURS[0]) if one.is_kept else (COLOURS[1], "white")
        if noise is not None:
            axes.errorbar(minutes, one.level, noise, fmt="none", color=colour, capsize=3, linewidth=1.2)
        axes.plot(minutes, one.level, "o", color=colour, markerfacecolor=fill, markersize=6)
        label = {"xytext": (6, 4), "textcoords": "offset points", "fontsize": "small"}
        axes.annotate(str(one.number), (minutes, one.level), **label)
    course = [*best, max(tried, key=_ended)]
    levels = [one.level for one in (*best, best[-1])]
    axes.step(
        [one.entry["ended"] / 60 for one in course], levels, where="post", color=COLOURS[0], linewidth=1.4, zorder=1
    )
    axes.set_xlim(left=0)
    kept, other = any(one.is_kept for one in tried), any(not one.is_kept for one in tried)
    handles = [Line2D([], [], color=COLOURS[0], label="the best so far")]
    handles += [Line2D([], [], color=COLOURS[0], marker="o", linestyle="", label="kept")] * kept
    open_ = {"color": COLOURS[1], "marker": "o", "markerfacecolor": "white", "linestyle": ""}
    handles += [Line2D([], [], label="not kept in the end", **open_)] * other
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize="small")
    return figure


def find_timed(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return what has a score and a time, in the order of time."""
    return sorted((one for one in candidates if one.score and one.entry.get("ended") is not None), key=_ended)


def follow_best(tried: Sequence[Candidate]) -> list[Candidate]:
    """Return what was the best when it ended, in the order of time; the first of all is among them.

    What was kept, or what something later had to beat, was the best then if its level was higher than all before.

    >>> def make(number, level, over="", decision="dropped"):
    ...     gain = {"over": over, "value": 0.0, "noise": 0.0} if over else None
    ...     entry = {"name": str(number), "score": {"value": level}, "gain": gain, "decision": decision}
    ...     return Candidate(number, "probes", entry, level)
    >>> tried = [make(1, 0.8), make(2, 0.9), make(3, 0.7, "1"), make(4, 0.85, "1"), make(5, 0.86, "4", "kept")]
    >>> [one.number for one in follow_best(tried)]
    [1, 4, 5]
    """
    best = list(tried[:1])
    for place, one in enumerate(tried[1:], 1):
        is_rival = any(later.gain and later.gain["over"] == one.entry["name"] for later in tried[place + 1 :])
        if (one.is_kept or is_rival) and one.level > best[-1].level:
            best.append(one)
    return best


def _ended(one) -> float:
    return one.entry["ended"]


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
