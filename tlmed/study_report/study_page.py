"""The page of a study, in a single file."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from tlmed.comparison.plots import draw_differences
from tlmed.comparison.sentences import say_p
from tlmed.metrics.names import name_inline
from tlmed.pages.figures import draw
from tlmed.pages.templating import make_page, render
from tlmed.run_files.study_files import list_told
from tlmed.study_report.analysis import LEVEL, REGION, Analysis
from tlmed.study_report.study_plots import draw_costs, draw_ranks, draw_shares, draw_sizes
from tlmed.study_report.study_sentences import conclude, describe_cells, say_less, say_mean, warn
from tlmed.tabulation import STRONG, Table, numbers, say, texts
from tlmed.whole_files import write_text
from tlmed.words import count

STUDY_HTML = "study.html"


def write_study_page(folder: Path, analysis: Analysis) -> Path:
    """Write `study.html` into the directory of a study, and return its path."""
    file = folder / STUDY_HTML
    write_text(file, make_study_page(analysis, list_told(folder)))
    return file


def make_study_page(analysis: Analysis, images: Sequence[str] = ()) -> str:
    """Return the whole page as HTML.

    Args:
        analysis: The study.
        images: Sentences about its images.
    """
    said, *more = conclude(analysis)
    sections = {
        "Configurations": _show_configurations(analysis),
        "Is the best the best?": _show_best(analysis),
        "Differences from the best": _show_differences(analysis),
        "Mean ranks": _show_ranks(analysis),
        "Where the variance comes from": _show_shares(analysis),
        "Score and cost": _show_costs(analysis),
        "Score and data size": _show_sizes(analysis),
        "Images": render("list.html", items=images) if images else Markup(),
        "Notes": render("list.html", items=analysis.notes) if analysis.notes else Markup(),
    }
    title = f"Study of {count(len(analysis.scores.configurations), 'configuration')}"
    return make_page(title, render("study/lead.html", said=said, more=more, doubts=warn(analysis.scores)), sections)


def _show_configurations(analysis) -> Markup:
    scores, metric = analysis.scores, name_inline(analysis.scores.metric)
    columns = texts("", "Configuration", f"{metric} (95 %)") + numbers("By folds", "By seeds", "Seconds", "Parameters")
    rows = []
    for number, place in enumerate(analysis.order, 1):
        mean, costs = analysis.means[place], scores.configurations[place]
        deviations = ["-" if part is None else f"{part:.3f}" for part in (mean.fold_deviation, mean.seed_deviation)]
        rows.append(
            [
                *(str(number), scores.names[place], say_mean(mean), *deviations),
                *(f"{costs.seconds:,.1f}", f"{costs.parameters:,.0f}"),
            ]
        )
    notes = [
        "By folds, by seeds: standard deviations of the score. Seconds: of training, the median of the "
        "cells, of which most find their features in the store."
    ]
    methods = {mean.method for mean in analysis.means if mean.method}
    return render(
        "study/configurations.html",
        cells=f"{describe_cells(analysis)} Intervals: {'; '.join(sorted(methods)) or 'none'}.",
        configurations=Table(columns, rows, notes=notes),
        missing=scores.missing,
    )


def _show_best(analysis) -> Markup:
    if (lead := analysis.lead) is None:
        return Markup()
    names, order = analysis.scores.names, analysis.order
    chances = Table(
        texts("Configuration") + numbers("Truly the best"), [(names[i], f"{lead.chances[i]:.1%}") for i in order]
    )
    preferences = [
        (names[other], f"{found.left:.1%}", f"{found.equal:.1%}", f"{found.right:.1%}")
        for other in order[1:]
        if (found := analysis.preferences.get(other)) is not None
    ]
    columns = texts("Other") + numbers("The best is better", "Equal", "The other is better")
    return render(
        "study/best.html",
        tried=lead.tried,
        chances=chances,
        region=f"{REGION:g}",
        preferences=Table(columns, preferences) if preferences else None,
    )


def _show_differences(analysis) -> Markup:
    if not analysis.pairs:
        return Markup()
    scores, metric = analysis.scores, name_inline(analysis.scores.metric)
    entries, shown = [], []
    for other in analysis.order[1:]:
        pair, sign = analysis.find_pair(analysis.best, other)
        mean = pair.mean
        ends = sorted((-sign * mean.low, -sign * mean.high)) if mean.low is not None else (None, None)
        entries.append({"value": -sign * mean.value, "low": ends[0], "high": ends[1]})
        shown.append(pair.p_holm is not None and pair.p_holm < LEVEL)
    names = [f"{number}. {scores.names[other]}" for number, other in enumerate(analysis.order[1:], 2)]
    best = scores.names[analysis.best]
    picture = draw(
        draw_differences(names, entries, shown, metric, best),
        f"Differences in {metric} from the best configuration",
        f"{metric} of each less that of the best; filled: shown, open: not shown",
    )
    rows = []
    for pair in analysis.pairs:
        p = say_p(pair.p_holm)
        bold = pair.p_holm is not None and pair.p_holm < LEVEL
        named = f"{scores.names[pair.first]} less {scores.names[pair.second]}"
        rows.append((named, say_less(pair.mean, 1), say(p, mark=STRONG) if bold else p))
    method = next((pair.mean.method for pair in analysis.pairs if pair.mean.method), "")
    return render(
        "study/differences.html",
        method=f"Method: {method}." if method else "",
        pairs=count(len(analysis.pairs), "pair"),
        level=LEVEL,
        picture=picture,
        differences=Table(texts("Pair", f"Difference in {metric} (95 %)", "p"), rows),
    )


def _show_ranks(analysis) -> Markup:
    if (ranking := analysis.ranking) is None:
        return Markup()
    p = f"p {say_p(ranking.p)}" if ranking.p < 0.001 else f"p = {say_p(ranking.p)}"
    said = (
        "Each fold is a place, at which the configurations are ranked. Friedman's test in the form of Iman and "
        f"Davenport, for folds that share training images: {p}. Mean ranks that differ by less than "
        f"{ranking.critical_difference:.2f} (Nemenyi) are not told apart; bars join them."
    )
    picture = draw(
        draw_ranks(analysis.scores.names, ranking),
        "A critical-difference diagram",
        "Mean ranks over folds, 1 is the best",
    )
    return render("study/pictures.html", said=said, pictures=[picture], details=None)


def _show_shares(analysis) -> Markup:
    if (shares := analysis.shares) is None:
        return Markup()
    rows = [
        (name, f"{share:.1%}", f"{shares.deviations[name]:.4f}", str(shares.levels.get(name, "")))
        for name, share in shares.shares.items()
    ]
    notes = [f"Rest: what factors do only together. Method: {shares.method}."]
    notes += [f"Estimated below zero, and set to zero: {', '.join(shares.cut)}."] if shares.cut else []
    notes += [f"{name} always varies together with {', '.join(others)}." for name, others in shares.joined.items()]
    picture = draw(draw_shares(shares), "Shares of the variance", "Share of each factor")
    said = (
        "How much of the variance of the scores goes with each factor. A factor of two values shows little of how "
        "such values vary."
    )
    columns = texts("Factor") + numbers("Share", "Standard deviation", "Values")
    return render("study/pictures.html", said=said, pictures=[picture], details=Table(columns, rows, notes=notes))


def _show_costs(analysis) -> Markup:
    metric = name_inline(analysis.scores.metric)
    pictures = [
        draw(draw_costs(analysis, cost, label, metric), f"{metric} against {label}", f"{metric} against {label}")
        for cost, label in (("seconds", "seconds of training"), ("millions", "millions of parameters"))
    ]
    said = "Numbers are those of the first table. Blue, joined by a line: no other has a higher score at a lower cost."
    return render("study/pictures.html", said=said, pictures=pictures, details=None)


def _show_sizes(analysis) -> Markup:
    if (found := analysis.sizes) is None:
        return Markup()
    metric = name_inline(analysis.scores.metric)
    if found.value is None:
        said = found.note
    else:
        bounds = "" if found.low is None else f" ({found.low:.2f} to {found.high:.2f})"
        said = (
            f"Spearman's rank correlation of training images and {metric}: {found.value:.2f}{bounds}, over "
            f"{count(found.points, 'configuration')}. {found.note}"
        ).strip()
    picture = draw(
        draw_sizes(analysis, metric),
        f"{metric} against training images",
        f"{metric} against training images; lines: 95 %",
    )
    return render("study/pictures.html", said=said, pictures=[picture], details=None)
