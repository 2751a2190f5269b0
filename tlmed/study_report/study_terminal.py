"""The analysis of a study as lines and tables for a terminal."""

from tlmed.comparison.sentences import say_p
from tlmed.metrics.names import name_inline
from tlmed.study_report.analysis import Analysis
from tlmed.study_report.study_sentences import conclude, describe_cells, say_less, say_mean, warn
from tlmed.tabulation import Table, numbers, texts
from tlmed.words import count


def describe_study_scores(analysis: Analysis) -> list[str | Table]:
    """Return the configurations from the best to the worst, their differences from the best, and what follows."""
    scores = analysis.scores
    metric = name_inline(scores.metric)
    head = texts("configuration", f"{metric} (95 %)") + numbers("rank", "best", "seconds", "parameters")
    rows = [_list_row(analysis, place) for place in analysis.order]
    table = Table(head, rows, notes=[_explain(analysis)])
    lines = [describe_cells(analysis), *(f"Warning: {said}" for said in warn(scores)), "", table, ""]
    if analysis.pairs:
        lines += [_list_differences(analysis), ""]
    lines += [*conclude(analysis), *(f"Left out: {name}: {reason}" for name, reason in scores.missing)]
    return [*lines, *(f"Note: {note}" for note in analysis.notes)]


def _list_row(analysis, place) -> list[str]:
    scores = analysis.scores
    rank = f"{analysis.ranking.ranks[place]:.2f}" if analysis.ranking else "-"
    chance = f"{analysis.lead.chances[place]:.0%}" if analysis.lead else "-"
    costs = scores.configurations[place]
    return [
        scores.names[place],
        say_mean(analysis.means[place]),
        rank,
        chance,
        f"{costs.seconds:,.1f}",
        f"{costs.parameters:,.0f}",
    ]


def _list_differences(analysis) -> Table:
    rows = []
    for other in analysis.order[1:]:
        pair, sign = analysis.find_pair(analysis.best, other)
        rows.append([analysis.scores.names[other], say_less(pair.mean, sign), say_p(pair.p_holm)])
    metric = name_inline(analysis.scores.metric)
    return Table(
        texts("the best less", f"{metric} (95 %)", "p"),
        rows,
        notes=[f"p: corrected for {count(len(analysis.pairs), 'pair')} (Holm); intervals are not."],
    )


def _explain(analysis) -> str:
    ranks = "rank: the mean over folds, 1 for the highest; " if analysis.ranking else ""
    return (
        f"{ranks}best: the probability of being truly the best, given all that were tried; seconds: of training; most "
        "cells find features in the store, and the first of each kind computes them."
    )
