"""A comparison as one page that stands alone: the same pieces as a run's report."""

from tlmed.comparison import plots
from tlmed.comparison.pairs import LEVEL, QUESTIONS, Comparison, is_shown
from tlmed.comparison.words import (
    NAMES,
    conclude,
    name_images,
    say_cost,
    say_difference,
    say_p,
    say_score,
    sign,
)
from tlmed.evaluation.page import bullets, fold, join_sections, make_document, picture, table, text
from tlmed.evaluation.score_plots import area_of
from tlmed.metrics import positive_index
from tlmed.recipe import divide_fields, join_fields
from tlmed.report.entries import show_cell
from tlmed.report.frame import NOT_A_DEVICE, add_terms
from tlmed.report.glossary import explain
from tlmed.report.overlays import MOST_PANELS
from tlmed.report.words import flatten, name_metric, number
from tlmed.words import count, listed, name_start

_DRAWN = ("auc", "accuracy")
_HEAD = ("auc", "accuracy", "sensitivity", "specificity")
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
        "All pairs": _show_pairs(comparison),
        "Notes": bullets(map(text, [*comparison.notes, *_list_metric_notes(comparison)])),
        "Where the recipes differ": _show_recipes(comparison),
    }
    title = f"Comparison of {count(len(comparison.results), 'run')}"
    body = join_sections(add_terms(sections))
    return make_document(
        title,
        f'<h1>{text(title)}</h1>\n<p class="soft">A comparison by tlmed. {text(NOT_A_DEVICE)}</p>\n'
        f'<p class="notice"><b>{text(said)}</b> {text(" ".join(more))}</p>\n{body}',
    )


def _label(comparison, place) -> str:
    return f"{place + 1}  {comparison.results[place].name}"


def _show_runs(comparison) -> str:
    metrics = comparison.results[0].metrics
    positive = f" Positive class: {metrics['positive']}." if metrics.get("positive") is not None else ""
    meaning = f"Compared on {name_images(comparison)}. Classes: {listed(metrics['classes'], _MOST_CLASSES)}.{positive}"
    rows = [
        (
            f"{_name_run(place, result)}<br><small>{_describe(result)}</small>",
            *(
                _name_column(name) + _show_score(result.metrics["metrics"].get(name)) + _show_without(result, name)
                for name in _HEAD
            ),
        )
        for place, result in enumerate(comparison.results, 1)
    ]
    shown = f'<div class="stacked">{table(("Run", *map(explain, _HEAD)), rows)}</div>'
    return f"<p>{text(meaning)}</p>{_say_leaks(comparison)}{shown}{_show_metrics(comparison)}"


def _name_column(name) -> str:
    """Return the column's name for a cell, where a phone has no room for columns."""
    return f'<span class="label">{explain(name)}</span>'


def _name_run(number, result) -> str:
    kept = ' style="white-space:nowrap"' if len(result.name) <= _LONGEST_LINE else ""
    return f"<span{kept}>{number}&nbsp; {text(result.name)}</span>"


def _describe(result) -> str:
    """Return what a run is, and of one that is called by its title the directory."""
    folder = result.path.resolve().name
    where = "" if folder in result.name else f"<code>{text(folder)}</code>: "
    return f"{where}{text(result.backbone)}, {text(name_start(result.weights))}, {text(result.approach)}"


def _show_score(entry) -> str:
    return "-" if entry is None else show_cell(entry)  # there is none in a run that an older version made


def _show_without(result, name) -> str:
    """Return a score without the images that leaked, for a cell; nothing where none did."""
    entry = (result.without_leaks or {}).get("metrics", {}).get(name)
    return "" if entry is None else f"<br><small>without {explain('leak', 'leaks')} {number(entry['value'])}</small>"


def _say_leaks(comparison) -> str:
    """Return which runs know how many of the test images, as notices of HTML."""
    alike = {}
    for result in comparison.results:
        if found := result.without_leaks:
            alike.setdefault((found["leaked"], found["leaked"] + found["n"]), []).append(result)
    return "".join(
        f'<p class="notice"><b>{count(leaked, "test image")} of {tested:,} '
        f"{'is' if leaked == 1 else 'are'} known to {text(listed((result.name for result in results), 3))}</b>: in "
        "training or validation too, or of a group that is there. Scores and differences may be too good.</p>"
        for (leaked, tested), results in alike.items()
    )


def _show_metrics(comparison) -> str:
    names = [name for name in QUESTIONS if name not in _HEAD]
    rows = [
        (_name_run(place, result), *(_show_score(result.metrics["metrics"].get(name)) for name in names))
        for place, result in enumerate(comparison.results, 1)
    ]
    return fold("Further metrics", table(("Run", *map(explain, names)), rows))


def _show_scores(comparison) -> str:
    names = [_label(comparison, place) for place in range(len(comparison.results))]
    parts = []
    for question in _DRAWN:
        entries = [result.metrics["metrics"][question] for result in comparison.results]
        said = "; ".join(f"{name}: {say_score(entry)}" for name, entry in zip(names, entries, strict=True))
        alt = f"Forest plot of each run's {NAMES[question]} with its 95 % interval. {said}"
        caption = f"{name_metric(question)} of each run, with its 95 % interval"
        parts.append(picture(plots.draw_scores(names, entries, NAMES[question]), alt, caption))
    meaning = (
        "Whether two runs differ is not seen from whether their intervals overlap: they were tested on the same "
        "images, which the differences below make use of."
    )
    return f'<p>{meaning}</p><div class="pair">{"".join(parts)}</div>'


def _show_curves(comparison) -> str:
    """Return the ROC curves of all runs over each other; nothing for cross-validations, whose own pages have them."""
    results = comparison.results
    if results[0].folds:
        return ""
    classes, main = results[0].test.classes, positive_index(results[0].test.classes, results[0].metrics.get("positive"))
    columns = range(len(classes)) if main is None else [main]
    if len(columns) > MOST_PANELS:
        return f"<p>Not drawn: there are {len(columns)} classes, and each would need a panel of its own.</p>"
    names = [_label(comparison, place) for place in range(len(results))]
    tests = [result.test for result in results]
    said = "; ".join(f"{classes[column]}: {_say_areas(names, tests, column)}" for column in columns)
    alt = f"ROC curves of {count(len(results), 'run')} on the same test images, with their AUC. {said}"
    many = f" The {plots.MOST_CURVES} with the largest areas have colours." if len(results) > plots.MOST_CURVES else ""
    meaning = (
        f"<p>{explain('roc')} of each run, on the same test images.{many} Two curves can cross: then which one is "
        "better depends on the threshold. Whether their areas differ is said below.</p>"
    )
    return meaning + picture(plots.draw_curves(names, tests, columns), alt, "ROC of each run; dotted: chance")


def _say_areas(names, tests, column) -> str:
    return ", ".join(f"{name} {number(area_of(test, column))}" for name, test in zip(names, tests, strict=True))


def _show_differences(comparison) -> str:
    parts = []
    for question in _DRAWN:
        best = comparison.best(question)
        if best is None:
            continue
        others = [place for place in range(len(comparison.results)) if place != best]
        names = [_label(comparison, place) for place in others]
        entries = [comparison.difference(place, best, question) for place in others]
        said = "; ".join(f"{name}: {say_difference(entry)}" for name, entry in zip(names, entries, strict=True))
        rank = "the highest" if len(comparison.leaders(question)) == 1 else "one of the highest"
        champion, metric = _label(comparison, best), NAMES[question]
        alt = f"Forest plot of differences in {metric} from {champion}, with 95 % intervals. {said}"
        figure = plots.draw_differences(names, entries, list(map(is_shown, entries)), metric, champion)
        parts.append(picture(figure, alt, f"{name_metric(question)} less that of {champion}, {rank}"))
    meaning = (
        f"Each interval holds 95 % by itself. Filled: shown, with a corrected p below {LEVEL}; open: not shown, which "
        "is not the same as equal."
    )
    if any(0 < len(comparison.leaders(question)) < len(comparison.results) for question in _DRAWN):
        meaning += " The best was chosen by these same test images: differences from it look larger than they are."
    return f'<p>{meaning}</p><div class="pair">{"".join(parts)}</div>' if parts else ""


def _show_sizes(comparison) -> str:
    """Return score against data size; nothing where all runs have the same size."""
    if len({result.costs["train_images"] for result in comparison.results}) == 1:
        return ""
    return _show_against(comparison, "train_images", "training images")


def _show_against(comparison, cost, xlabel) -> str:
    question = "auc" if comparison.best("auc") is not None else "accuracy"
    points = [
        plots.Point(place, result.costs[cost], entry, result.backbone, result.approach)
        for place, result in enumerate(comparison.results, 1)
        if (entry := result.metrics["metrics"][question])["value"] is not None and result.costs[cost]
    ]
    if not points:
        return ""
    said = "; ".join(
        f"{point.number}: {number(point.score['value'])} at {point.x:,.0f}, {point.backbone}, {point.approach}"
        for point in points
    )
    alt = f"{name_metric(question)} against {xlabel}. {said}"
    same = " Points of the same place are drawn side by side." if len({p.x for p in points}) < len(points) else ""
    caption = (
        f"{name_metric(question)} against {xlabel}, with 95 % intervals: colour for the backbone, shape for the "
        f"approach, numbers as in the table.{same}"
    )
    return picture(plots.draw_against(points, xlabel, NAMES[question]), alt, caption)


def _show_costs(comparison) -> str:
    rows = [
        (_name_run(place, result), *(text(say_cost(name, result.costs[name])) for name in _COSTS))
        for place, result in enumerate(comparison.results, 1)
    ]
    whole = (
        "Of a cross-validation: the time of all folds together, the mean of training images and of speed, the most "
        "parameters and memory of a fold."
        if comparison.results[0].folds
        else "Images: those of training. Trainable: the network's parameters in the phase that was kept; a hybrid's "
        "classifier is no network. Memory: the most that the run held."
    )
    axes = {"training_seconds": "seconds of training", "peak_memory_mb": "peak memory (MB)"}
    pictures = "".join(_show_against(comparison, *axis) for axis in axes.items())
    costs = table(("Run", *_COSTS.values()), rows)
    return f'{costs}<p><small>{whole}</small></p><div class="pair">{pictures}</div>'


def _show_pairs(comparison) -> str:
    amount = len(comparison.pairs)
    corrected = f"p is corrected by Holm for all {amount} pairs, for each metric by itself. " if amount > 1 else ""
    meaning = (
        "<p>Each difference is the first run less the second, with a 95 % interval of its own. "
        f"{corrected}Below {LEVEL} a difference counts as shown; above, nothing is known of it but its interval.</p>"
    )
    parts = []
    for question in QUESTIONS:
        shown = _tabulate_pairs(comparison, question) + _name_methods(comparison, question)
        title = f"{name_metric(question)}: {count(amount, 'pair')}"
        open_ = question in _DRAWN and amount <= _MOST_PAIRS
        parts.append(f"<h3>{title}</h3>{shown}" if open_ else fold(title, shown))
    return meaning + "".join(parts)


def _tabulate_pairs(comparison, question) -> str:
    counted = question == "accuracy" and not comparison.results[0].folds
    rows = []
    for pair in comparison.pairs:
        entry = pair.questions[question]
        names = [text(comparison.results[place].name) for place in (pair.first, pair.second)]
        interval = "" if entry["low"] is None else f"<br><small>{sign(entry['low'])} to {sign(entry['high'])}</small>"
        alone = (f"{entry['first_only']} / {entry['second_only']}",) if counted else ()
        p = f"<b>{text(say_p(entry['p_holm']))}</b>" if is_shown(entry) else text(say_p(entry["p_holm"]))
        label = f"{pair.first + 1} - {pair.second + 1}<br><small>{names[0]} less {names[1]}</small>"
        rows.append((label, sign(entry["value"]) + interval, *alone, p))
    head = (
        "Pair",
        "Difference",
        *(("Only one is right",) if counted else ()),
        explain("corrected", "p") if len(comparison.pairs) > 1 else "p",
    )
    return table(head, rows)


def _name_methods(comparison, question) -> str:
    entries = [pair.questions[question] for pair in comparison.pairs]
    methods = dict.fromkeys(entry["method"] for entry in entries if entry["method"])
    return f"<p><small>{text('; '.join(methods))}.</small></p>" if methods else ""


def _list_metric_notes(comparison) -> list[str]:
    """Return what is said of single numbers: why one is undefined, what an interval leaves out."""
    names = [result.name for result in comparison.results]
    tables = [(result.name, result.metrics["metrics"]) for result in comparison.results]
    tables += [(f"{names[pair.first]} less {names[pair.second]}", pair.questions) for pair in comparison.pairs]
    found = {}
    for whose, table_of in tables:
        for name in QUESTIONS:
            entry = table_of.get(name, {})
            if words := entry.get("reason") or entry.get("note"):
                found.setdefault((name, words), []).append(whose)
    return [f"{name_metric(name)} of {listed(whose, 3)}: {words}" for (name, words), whose in found.items()]


def _show_recipes(comparison) -> str:
    """Return the fields in which the recipes differ, folded; nothing where they are the same.

    A part that only some recipes have, such as a phase, is one row.
    """
    flat = [dict(flatten(result.recipe)) for result in comparison.results]
    shared, lacking = divide_fields(flat)
    rows = [
        (text(name), *(text(fields.get(name, "-")) for fields in flat))
        for name in shared
        if len({str(fields.get(name)) for fields in flat}) > 1
    ]
    rows += [
        (text(part), *(text(join_fields(fields, names) or "-") for fields in flat)) for part, names in lacking.items()
    ]
    numbers = range(1, len(flat) + 1)
    return fold("Fields, by the number of the run", table(("Field", *map(str, numbers)), rows)) if rows else ""
