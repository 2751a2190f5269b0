"""The page of a comparison, in a single file, made of the same parts as a run's report."""

from collections.abc import Mapping
from dataclasses import replace

from markupsafe import Markup

from tlmed.answer_units import name_left_out, say_least, say_undecided, unit_of
from tlmed.comparison import plots
from tlmed.comparison.contradictions import list_pair_contradictions
from tlmed.comparison.label_section import show_labels
from tlmed.comparison.pairs import LEVEL, Comparison, is_shown
from tlmed.comparison.sentences import (
    conclude,
    list_all_notes,
    name_images,
    say_checks,
    say_cost,
    say_difference,
    say_different_leaks,
    say_main,
    say_p,
    say_score,
    say_undecided_runs,
    say_unknown_patients,
    sign,
)
from tlmed.errors import InputError
from tlmed.evaluation.score_plots import area_of
from tlmed.metrics import positive_index
from tlmed.metrics.label_differences import MATCH
from tlmed.metrics.names import list_further
from tlmed.pages.amounts import flatten, number
from tlmed.pages.entries import compare_stated, show_cell
from tlmed.pages.figures import Picture, draw
from tlmed.pages.glossary import explain
from tlmed.pages.templating import make_page, render
from tlmed.recipe import divide_fields, from_json, join_fields, to_json
from tlmed.report.overlays import MOST_PANELS
from tlmed.tabulation import CODE, STRONG, WHOLE, Cell, Table, numbers, say, texts
from tlmed.words import count, listed, name_start

_HEAD = ("sensitivity", "specificity")  # in the table of runs after the main metrics
_COSTS = {
    "train_images": "Images",
    "training_seconds": "Training",
    "trainable_parameters": "Trainable",
    "peak_memory_mb": "Memory (MB)",
    "images_per_second": "Images/s",
}
_MOST_CLASSES = 12  # that a sentence names
_MOST_PAIRS = 15  # that are shown without a click
_LONGEST_LINE = 26  # characters of a name that stay on one line


def make_comparison_page(comparison: Comparison) -> str:
    """Return the whole page as HTML."""
    said, *more = conclude(comparison)
    sections = {
        "Runs": _show_runs(comparison),
        "Scores with their intervals": _show_scores(comparison),
        "ROC curves": _show_curves(comparison),
        "Differences from the best": _show_differences(comparison),
        "Score against data size": _show_sizes(comparison),
        "Score and cost": _show_costs(comparison),
        "Each label": show_labels(comparison),
        "All pairs": _show_pairs(comparison),
        "Notes": render("list.html", items=[*comparison.notes, *list_all_notes(comparison, comparison.questions)]),
        "Where the recipes differ": _show_recipes(comparison),
    }
    title = f"Comparison of {count(len(comparison.results), 'run')}"
    return make_page(title, render("comparison/lead.html", said=said, more=more), sections)


def _name_unit(comparison) -> str:
    return unit_of(comparison.results[0].metrics)


def _show_runs(comparison) -> Markup:
    metrics = comparison.results[0].metrics
    positive = say_main(comparison, " Positive class: {}.")
    images = f"{name_images(comparison)}{say_unknown_patients(comparison)}"
    meaning = f"Compared on {images}. Classes: {listed(metrics['classes'], _MOST_CLASSES)}.{positive}"
    rows = [
        (_name_run(place, result, _describe(result)), *(_show_score(result, name) for name in _list_head(comparison)))
        for place, result in enumerate(comparison.results, 1)
    ]
    return render(
        "comparison/runs.html",
        meaning=meaning,
        unit=unit_of(metrics),
        leaks=_list_leaks(comparison),
        different=[*say_undecided_runs(comparison), *say_different_leaks(comparison), *say_checks(comparison)],
        runs=_tabulate_runs(comparison, _list_head(comparison), rows),
        further=_tabulate_metrics(comparison),
        stated=_compare_stated(comparison),
    )


def _name_run(number, result, *below) -> Cell:
    mark = WHOLE if len(result.name) <= _LONGEST_LINE else ""
    return say(say(f"{number}\N{NO-BREAK SPACE} {result.name}", mark=mark), below=below)


def _describe(result) -> Cell:
    """Return what a run is; if it is called by its title, also its directory."""
    folder = result.path.resolve().name
    where = () if folder in result.name else (say(folder, mark=CODE), ": ")
    return say(*where, f"{result.backbone}, {name_start(result.weights)}, {result.approach}")


def _show_score(result, name) -> str | Cell:
    """Return a score, below it what it is without the images that leaked; a run of an older version may have none."""
    found, without = (part.get("metrics", {}).get(name) for part in (result.metrics, result.without_leaks or {}))
    if found is None:
        return "-"
    shown = show_cell(found)
    if without is None:
        return shown
    leaks = explain("leak", name_left_out(result.metrics))
    return replace(shown, below=(*shown.below, say("without ", leaks, f" {say_score(without)}")))


def _list_leaks(comparison) -> list[tuple[str, int, int, str, list[str]]]:
    """Return how many test images are known ("at least " before it), how many are left, and which runs know so many.

    Before the names stands of how many more it cannot be told.
    """
    alike = {}
    for result in comparison.results:
        if found := result.without_leaks:
            least, more = say_least(result.metrics).capitalize(), say_undecided(result.metrics)
            alike.setdefault((least, found["leaked"], found["n"], more), []).append(result.name)
    return [(*amounts, names) for amounts, names in alike.items()]


def _list_head(comparison) -> tuple[str, ...]:
    return (*comparison.shown_questions, *_HEAD)


def _compare_stated(comparison) -> Table | None:
    """Return the metrics at stated numbers of all runs; nothing where they have none in common.

    A metric that two runs have at different numbers, such as two risks, is not the same metric.
    """
    found = [list_further(result.metrics["metrics"]) for result in comparison.results]
    common = [
        name
        for name, entry in found[0].items()
        if all(name in other and other[name].get("at") == entry.get("at") for other in found)
    ]
    if not common:
        return None
    names = [comparison.label(place) for place in range(len(found))]
    return compare_stated(
        {name: {each: entries[each] for each in common} for name, entries in zip(names, found, strict=True)}
    )


def _tabulate_metrics(comparison) -> Table:
    names = [name for name in comparison.questions if name not in _list_head(comparison)]
    rows = [
        (_name_run(place, result), *(show_cell(result.metrics["metrics"].get(name)) or "-" for name in names))
        for place, result in enumerate(comparison.results, 1)
    ]
    return _tabulate_runs(comparison, names, rows)


def _tabulate_runs(comparison, names, rows) -> Table:
    """Return a table of runs with columns of metrics, which are called means where each label has them, too."""
    means = bool(comparison.pairs[0].labels)
    return Table(
        texts("Run") + numbers(*(explain(name, comparison.title(name) if means else None) for name in names)), rows
    )


def _show_scores(comparison) -> Markup:
    names = [comparison.label(place) for place in range(len(comparison.results))]
    pictures = []
    for question in comparison.main_questions:
        entries = [result.metrics["metrics"][question] for result in comparison.results]
        said = "; ".join(f"{name}: {say_score(entry)}" for name, entry in zip(names, entries, strict=True))
        alt = f"Forest plot of each run's {comparison.name(question)} with its 95 % interval. {said}"
        caption = f"{comparison.title(question)} of each run, with its 95 % interval"
        pictures.append(draw(plots.draw_scores(names, entries, comparison.name(question)), alt, caption))
    return render("comparison/scores.html", unit=_name_unit(comparison), pictures=pictures)


def _show_curves(comparison) -> Markup:
    """Return the ROC curves of all runs over each other; nothing for cross-validations, whose own pages have them."""
    results = comparison.results
    if results[0].folds:
        return Markup()
    test = results[0].test
    classes = test.classes
    main = None if test.is_multi else positive_index(classes, results[0].metrics.get("positive"))
    columns = range(len(classes)) if main is None else [main]
    drawn = _draw_curves(comparison, columns) if len(columns) <= MOST_PANELS else None
    return render(
        "comparison/curves.html",
        unit=_name_unit(comparison),
        picture=drawn,
        panels=len(columns),
        runs=len(results),
        coloured=plots.MOST_CURVES,
    )


def _draw_curves(comparison, columns) -> Picture:
    names = [comparison.label(place) for place in range(len(comparison.results))]
    tests = [result.test for result in comparison.results]
    said = "; ".join(f"{tests[0].classes[column]}: {_say_areas(names, tests, column)}" for column in columns)
    alt = f"ROC curves of {count(len(tests), 'run')} on the same test {_name_unit(comparison)}s, with their AUC. {said}"
    return draw(plots.draw_curves(names, tests, columns), alt, "ROC of each run; dotted: chance")


def _say_areas(names, tests, column) -> str:
    return ", ".join(f"{name} {number(area_of(test, column))}" for name, test in zip(names, tests, strict=True))


def _show_differences(comparison) -> Markup:
    pictures = []
    for question in comparison.main_questions:
        best = comparison.best(question)
        if best is None:
            continue
        others = [place for place in range(len(comparison.results)) if place != best]
        names = [comparison.label(place) for place in others]
        entries = [comparison.difference(place, best, question) for place in others]
        said = "; ".join(f"{name}: {say_difference(entry)}" for name, entry in zip(names, entries, strict=True))
        rank = "the highest" if len(comparison.leaders(question)) == 1 else "one of the highest"
        champion, metric = comparison.label(best), comparison.name(question)
        alt = f"Forest plot of differences in {metric} from {champion}, with 95 % intervals. {said}"
        figure = plots.draw_differences(names, entries, list(map(is_shown, entries)), metric, champion)
        pictures.append(draw(figure, alt, f"{comparison.title(question)} minus that of {champion}, {rank}"))
    if not pictures:
        return Markup()
    chosen = any(
        0 < len(comparison.leaders(question)) < len(comparison.results) for question in comparison.main_questions
    )
    unit = _name_unit(comparison)
    return render("comparison/differences.html", unit=unit, level=LEVEL, pictures=pictures, chosen=chosen)


def _show_sizes(comparison) -> Markup:
    """Return score against data size, by modality where runs differ in it; nothing where all have the same size."""
    if len({result.costs["train_images"] for result in comparison.results}) == 1:
        return Markup()
    by_modality = len({result.modality for result in comparison.results}) > 1
    drawn = _draw_against(comparison, "train_images", "training images", by_modality)
    return render("figure.html", picture=drawn) if drawn else Markup()


def _draw_against(comparison, cost, xlabel, by_modality=False) -> Picture | None:
    main = comparison.main_questions
    question = next((name for name in main if comparison.best(name) is not None), main[-1])
    points = [
        plots.Point(
            *(place, result.costs[cost], entry, result.backbone, result.approach),
            result.modality if by_modality else "",
        )
        for place, result in enumerate(comparison.results, 1)
        if (entry := result.metrics["metrics"][question])["value"] is not None and result.costs[cost]
    ]
    if not points:
        return None
    said = "; ".join(
        f"{point.number}: {number(point.score['value'])} at {say_cost(cost, point.x)}, "
        + (point.modality or f"{point.backbone}, {point.approach}")
        for point in points
    )
    alt = f"{comparison.title(question)} against {xlabel}. {said}"
    same = " Points of the same place are drawn side by side." if len({p.x for p in points}) < len(points) else ""
    shown = "colour and shape for the modality" if by_modality else "colour for the backbone, shape for the approach"
    against = f"{comparison.title(question)} against {xlabel}, with 95 % intervals"
    caption = f"{against}: {shown}, numbers as in the table.{same}"
    return draw(plots.draw_against(points, xlabel, comparison.name(question)), alt, caption)


def _show_costs(comparison) -> Markup:
    rows = [
        (_name_run(place, result), *(say_cost(name, result.costs[name]) for name in _COSTS))
        for place, result in enumerate(comparison.results, 1)
    ]
    whole = (
        "Time is the sum over the folds, training images and speed are their means, parameters and memory their maxima."
        if comparison.results[0].folds
        else "Images: training images. Trainable: the network's parameters that the kept phase trained; a hybrid's "
        "classifier does not count. Memory: the peak of the run. Images/s: images that training used in a second, its "
        "first steps included."
    )
    axes = {"training_seconds": "seconds of training", "peak_memory_mb": "peak memory (MB)"}
    drawn = [_draw_against(comparison, *axis) for axis in axes.items()]
    table = Table(texts("Run") + numbers(*_COSTS.values()), rows, footnote=whole)
    return render("comparison/costs.html", costs=table, pictures=[each for each in drawn if each])


def _show_pairs(comparison) -> Markup:
    amount = len(comparison.pairs)
    questions = [
        {
            "title": f"{comparison.title(question)}: {count(amount, 'pair')}",
            "table": _tabulate_pairs(comparison, question),
            "open": question in comparison.main_questions and amount <= _MOST_PAIRS,
        }
        for question in comparison.questions
    ]
    return render("comparison/pairs.html", pairs=amount, level=LEVEL, questions=questions)


def _tabulate_pairs(comparison, question) -> Table:
    counted = question in ("accuracy", MATCH) and all("first_only" in it.questions[question] for it in comparison.pairs)
    rows = []
    for pair in comparison.pairs:
        entry = pair.questions[question]
        first, second = (comparison.results[place].name for place in (pair.first, pair.second))
        interval = () if entry["low"] is None else (f"{sign(entry['low'])} to {sign(entry['high'])}",)
        alone = (f"{entry['first_only']} / {entry['second_only']}",) if counted else ()
        p = say(say_p(entry["p_holm"]), mark=STRONG if is_shown(entry) else "")
        label = say(f"{pair.first + 1} - {pair.second + 1}", below=(f"{first} minus {second}",))
        rows.append((label, say(sign(entry["value"]), below=interval), *alone, p))
    head = (
        "Difference",
        *(("Only one is right",) if counted else ()),
        explain("corrected", "p") if len(comparison.pairs) > 1 else "p",
    )
    methods = dict.fromkeys(pair.questions[question]["method"] for pair in comparison.pairs)
    said = "; ".join(filter(None, methods))
    notes = list_pair_contradictions(comparison, question)
    return Table(texts("Pair") + numbers(*head), rows, notes, footnote=f"{said}." if said else "")


def _show_recipes(comparison) -> Markup:
    """Return the fields in which the recipes differ, folded; nothing where they are the same.

    A part that only some recipes have, such as a phase, is one row.
    """
    flat = [dict(flatten(_complete(result.recipe))) for result in comparison.results]
    shared, lacking = divide_fields(flat)
    rows = [
        (name, *(str(fields.get(name, "-")) for fields in flat))
        for name in shared
        if len({str(fields.get(name)) for fields in flat}) > 1
    ]
    rows += [(part, *(join_fields(fields, names) or "-" for fields in flat)) for part, names in lacking.items()]
    if not rows:
        return Markup()
    columns = texts("Field") + numbers(*map(str, range(1, len(flat) + 1)))
    return render("comparison/recipes.html", fields=Table(columns, rows))


def _complete(recipe) -> Mapping:
    """Return a recipe's fields, with the default of those that its version of tlmed did not have yet.

    The recipe of a newer version, whose fields have no meaning here, is shown as it is.
    """
    try:
        return to_json(from_json(recipe))
    except InputError:
        return recipe
