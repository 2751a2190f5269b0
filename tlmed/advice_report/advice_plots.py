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
    """Draw the score of the best so far against the minutes since the beginning, with the noise of each gain.

    Args:
        tried: What `find_timed` gives; at least one.
        metric: What the score is called.
    """
    figure = Figure(figsize=(_WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    tidy(axes, xlabel="minutes", ylabel=f"{metric} of development images")
    best = follow_best(tried)
    for one in tried:
        minutes, value = one.entry["ended"] / 60, one.score["value"]
        noise = (one.entry.get("gain") or {}).get("noise") if one in best else None
        if noise is not None:
            axes.errorbar(minutes, value, noise, fmt="none", color=COLOURS[0], capsize=3, linewidth=1.2)
        axes.plot(minutes, value, "o", color=COLOURS[0] if one.is_kept else COLOURS[1], **_fill(one), markersize=6)
        axes.annotate(str(one.number), (minutes, value), xytext=(6, 4), textcoords="offset points", fontsize="small")
    minutes = [one.entry["ended"] / 60 for one in (*best, max(tried, key=_ended))] if best else []
    axes.step(
        minutes,
        [one.score["value"] for one in (*best, *best[-1:])],
        where="post",
        color=COLOURS[0],
        linewidth=1.4,
        zorder=1,
    )
    axes.set_xlim(left=0)
    handles = [
        Line2D([], [], color=COLOURS[0], marker="o", label="kept; line: the best so far"),
        Line2D([], [], color=COLOURS[1], marker="o", markerfacecolor="white", linestyle="", label="not kept"),
    ]
    shown = [handles[0]] * bool(best) + [handles[1]] * any(not one.is_kept for one in tried)
    figure.legend(handles=shown, loc="outside lower left", ncols=2, frameon=False, fontsize="small")
    return figure


def find_timed(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return what has a score and a time, in the order of time."""
    return sorted((one for one in candidates if one.score and one.entry.get("ended") is not None), key=_ended)


def follow_best(tried: Sequence[Candidate]) -> list[Candidate]:
    """Return what was the best of all that was kept, when it ended.

    >>> def make(number, value, decision="kept"):
    ...     return Candidate(number, "probes", {"score": {"value": value}, "decision": decision})
    >>> [one.number for one in follow_best([make(1, 0.8), make(2, 0.7), make(3, 0.9, "dropped"), make(4, 0.85)])]
    [1, 4]
    """
    best: list[Candidate] = []
    for one in tried:
        if one.is_kept and (not best or one.score["value"] > best[-1].score["value"]):
            best.append(one)
    return best


def _ended(one) -> float:
    return one.entry["ended"]


def _fill(one) -> dict:
    return {} if one.is_kept else {"markerfacecolor": "white"}


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
