"""The sentences of a comparison: p-values, differences, and what can and cannot be concluded."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from tlmed.answer_units import name_left_out, say_all_undecided, say_least, say_undecided, unit_of
from tlmed.comparison.compared_metrics import name_question
from tlmed.comparison.groups import list_known, measure_without
from tlmed.comparison.pairs import LEVEL, Comparison, is_shown
from tlmed.comparison.results import Result
from tlmed.comparison.traits import say_images
from tlmed.identifiers import read_identifiers
from tlmed.metrics import say_positive
from tlmed.metrics.names import name_metric
from tlmed.pages.amounts import EMPTY, duration, number, says_nothing
from tlmed.pseudonyms import say_unknown
from tlmed.run_files.check_summary import say_errors
from tlmed.words import count, join_names, listed, span, tell_apart, thousandths

_OTHERS = "scores without them are of different images, and do not compare the runs"
_MOST_NAMED = 4  # a sentence names so many runs at most; of more it gives the number


def say_main(comparison: Comparison, form: str) -> str:
    """Return the positive class, and why it is that one: as asked for, if all runs were asked for it.

    Args:
        comparison: The comparison.
        form: What stands around it.
    """
    metrics = [result.metrics for result in comparison.results]
    asked = all(found.get("positive_asked", False) for found in metrics)
    return say_positive(metrics[0]["classes"], metrics[0].get("positive"), asked, form)


def say_p(p: float | None) -> str:
    """Return a p-value as papers print it; one near the level has the digits that show on which side it is.

    >>> say_p(0.0004), say_p(0.0312), say_p(0.04996), say_p(1.0), say_p(None)
    ('< 0.001', '0.031', '0.04996', '> 0.999', 'undefined')
    """
    if p is None:
        return "undefined"
    if p < LEVEL <= float(f"{p:.3f}"):
        return tell_apart(p, LEVEL)[0]
    return "< 0.001" if p < 0.001 else "> 0.999" if p > 0.999 else f"{p:.3f}"


def sign(value: float | None) -> str:
    """Return a difference with its sign; only one of nothing has none, and none is shown as 0 or 1 that is not.

    >>> sign(0.0213), sign(-0.5), sign(-0.00012), sign(0.0), sign(None)
    ('+0.021', '-0.500', '-0.00012', '0.000', 'undefined')
    """
    if value is None:
        return "undefined"
    shown = thousandths(value)
    return shown if value < 0 or not float(shown) else f"+{shown}"


def say_difference(entry: Mapping) -> str:
    """Return a difference and its interval.

    >>> say_difference({"value": -0.043, "low": -0.088, "high": -0.006})
    '-0.043 (-0.088 to -0.006)'
    >>> say_difference({"value": 0.0, "low": None, "high": None})
    '0.000 (no interval)'
    """
    if entry["value"] is None:
        return sign(None)
    if entry["low"] is None:
        return f"{sign(entry['value'])} (no interval)"
    # The bounds that are written -1.000 and +1.000, which leave every difference possible.
    nothing = f", {EMPTY}" if entry["low"] < -0.9995 and entry["high"] > 0.9995 else ""
    return f"{sign(entry['value'])} ({sign(entry['low'])} to {sign(entry['high'])}{nothing})"


def say_score(entry: Mapping) -> str:
    """Return a metric and its interval.

    >>> say_score({"value": 0.945, "low": 0.9, "high": 0.97})
    '0.945 (0.900 to 0.970)'
    """
    if entry["low"] is None:
        return number(entry["value"])
    nothing = f", {EMPTY}" if says_nothing(entry) else ""
    return f"{number(entry['value'])} ({span(entry['value'], entry['low'], entry['high'])}{nothing})"


def say_cost(name: str, value: float | None) -> str:
    """Return a cost as a person reads it.

    >>> say_cost("training_seconds", 75.2), say_cost("peak_memory_mb", 1834.0), say_cost("images_per_second", None)
    ('1 min 15 s', '1,834', '-')
    """
    if value is None:
        return "-"
    if name == "train_images":
        return say_images(value)
    return duration(value) if name == "training_seconds" else f"{value:,.0f}"


def name_images(comparison: Comparison) -> str:
    """Return what the runs were compared on."""
    groups = f" of {count(comparison.groups, 'group')}" if comparison.groups is not None else ""
    if folds := comparison.results[0].folds:
        images = (
            ""
            if comparison.images is None
            else f" of {count(comparison.images, unit_of(comparison.results[0].metrics))}"
        )
        return f"the same {len(folds)} folds{images}{groups}"
    return f"the same {count(comparison.images, f'test {unit_of(comparison.results[0].metrics)}')}{groups}"


def say_unknown_patients(comparison: Comparison) -> str:
    """Return that no run knows patients, after a semicolon; "" where one does, or where all switched groups off."""
    asked = any(result.recipe.get("data", {}).get("groups", True) for result in comparison.results)
    unknown = [
        say_unknown(asked, _list_groups(part), read_identifiers(part.environment.get("data", {})).pseudonyms)
        for result in comparison.results
        for part in (result.folds or [result])
    ]
    return unknown[0] if all(unknown) else ""


def _list_groups(result: Result) -> set[str]:
    return {row["group"] for row in result.splits.values() if row.get("group")}


def say_leaks(comparison: Comparison) -> list[str]:
    """Return a sentence for each run whose training or validation knows test images, with its scores without them."""
    sentences = []
    for result in comparison.results:
        if found := result.without_leaks:
            unit = unit_of(result.metrics)
            known = f"{count(found['leaked'], f'test {unit}')} of {found['leaked'] + found['n']:,}"
            known += say_undecided(result.metrics)
            left = [
                f"{comparison.name(name)} {say_score(found['metrics'][name])}"
                for name in ("auc", "accuracy")
                if name in found["metrics"]
            ]
            sentences.append(
                f"{result.name} knows {say_least(result.metrics)}{known} from training or validation, or other images "
                f"of their group: its scores and differences may be too good. {_say_left(found, left, unit)}"
            )
    return [*sentences, *say_undecided_runs(comparison), *say_different_leaks(comparison), *say_checks(comparison)]


def say_checks(comparison: Comparison) -> list[str]:
    """Return what the check found in the images of runs, a sentence for all runs that share it."""
    alike: dict[str, list[str]] = {}
    for result in comparison.results:
        for sentence in say_errors(result.check):
            alike.setdefault(sentence, []).append(result.name)
    return [f"{listed(names, 3)}: {sentence[0].lower()}{sentence[1:]}" for sentence, names in alike.items()]


def say_undecided_runs(comparison: Comparison) -> list[str]:
    """Name the runs that know no test images, as far as can be told, and say of how many it cannot."""
    found = ((result.name, say_all_undecided(result.metrics)) for result in comparison.results)
    return [f"{name}: {said[0].lower()}{said[1:]}" for name, said in found if said]


def say_different_leaks(comparison: Comparison) -> list[str]:
    """Say so where runs know different test images, and give the scores of all on those that none knows."""
    results, unit = comparison.results, unit_of(comparison.results[0].metrics)
    said = f"The runs do not know the same test {unit}s"
    others = f"scores without them are of different {unit}s, and do not compare the runs"
    amounts = {found["leaked"] if (found := result.without_leaks) else 0 for result in results}
    if amounts == {0}:
        return []
    if results[0].folds:
        same = len(amounts) == 1 and all(map(_may_know_same, zip(*(it.folds for it in results), strict=True)))
        return [] if same else [f"{said}: {others}."]
    known = list_known(results)
    if None not in known:
        return _compare_unknown(results, known, said, unit)
    if len(amounts) > 1:
        return [f"{said}: {others}."]
    # Runs that began with the same weights, and know as many images, know the same ones.
    if not any(known) and len({result.weights for result in results}) == 1:
        return []
    return [f"Whether the runs know the same test {unit}s is not recorded. If not, {others}."]


def _may_know_same(results) -> bool:
    """Tell whether runs know the same test images, or do not all record which."""
    known = list_known(results)
    return None in known or all(paths == known[0] for paths in known)


def _compare_unknown(results, known, said, unit) -> list[str]:
    if all(paths == known[0] for paths in known):
        return []
    every = set().union(*known)
    left = len(results[0].test.paths) - len(every)
    if not left:
        return [f"{said}. None is unknown to all, so that no scores compare them without known {unit}s."]
    main = {name: name_question(name, results) for name in ("auc", "accuracy")}
    found = [
        f"{result.name} has {join_names(f'{words} {say_score(entries[name])}' for name, words in main.items())}"
        for result, entries in zip(results, measure_without(results, every), strict=True)
    ]
    hidden = [f"{amount:,} for {result.name}" for result in results if (amount := result.metrics.get("undecided"))]
    unsure = f" (of other test {unit}s this cannot be told: {join_names(hidden)})" if hidden else ""
    return [f"{said}. On the {count(left, unit)} that no run knows{unsure}, {'; '.join(found)}."]


def _say_left(found, scores, unit) -> str:
    if not found["n"]:
        return f"No {unit} is left without them."
    left = f"Without them {count(found['n'], unit)} {'is' if found['n'] == 1 else 'are'} left"
    return f"{left}: {join_names(scores)}." if scores else f"{left}; the scores of these are in its folds."


def list_metrics(results: Sequence[Result]) -> list[tuple[str, Mapping]]:
    """Return each run's name and its metrics; where it knows test images, then those of the others."""
    tables = []
    for result in results:
        tables.append((result.name, result.metrics["metrics"]))
        if found := result.without_leaks:
            tables.append((f"{result.name} without {name_left_out(result.metrics)}", found["metrics"]))
    return tables


def list_metric_notes(tables: Iterable[tuple[str, Mapping]], names: Iterable[str]) -> list[str]:
    """Return notes on single numbers: why one is undefined, what an interval leaves out.

    Args:
        tables: Whose metrics they are, and the metrics by name.
        names: The metrics whose notes are wanted.

    >>> auc = {"auc": {"value": 0.7, "note": "It rests on 1 group."}}
    >>> list_metric_notes([("one", auc), ("two", auc)], ["auc"])
    ['AUC of one, two: It rests on 1 group.']
    """
    found = {}
    for (whose, metrics), name in itertools.product(tables, names):
        entry = metrics.get(name, {})
        if words := entry.get("reason") or entry.get("note"):
            found.setdefault((name, words), []).append(whose)
    return [f"{name_metric(name)} of {listed(whose, 3)}: {words}" for (name, words), whose in found.items()]


def list_all_notes(comparison: Comparison, names: Iterable[str]) -> list[str]:
    """Return the notes on single numbers of the runs, and on the differences of pairs.

    Args:
        comparison: The comparison.
        names: The metrics whose notes are wanted.
    """
    runs, pairs = comparison.results, comparison.pairs
    differences = [(f"{runs[pair.first].name} minus {runs[pair.second].name}", pair.questions) for pair in pairs]
    return list_metric_notes([*list_metrics(runs), *differences], names)


def conclude(comparison: Comparison) -> list[str]:
    """Return in sentences what can be said of the runs' main metric, or of the next where that is undefined.

    That no difference was shown does not mean that there is none (Altman & Bland, BMJ 1995, 311:485): the sentences
    say how large it may be.
    """
    question = next((name for name in comparison.main_questions if comparison.best(name) is not None), None)
    if question is None:
        return [
            f"On {name_images(comparison)}, AUC and accuracy are undefined for at least one run, so none is called "
            "best."
        ]
    leaders, metric = comparison.leaders(question), comparison.name(question)
    best, shared = leaders[0], len(leaders) > 1
    # Of several labels the metric is a mean already, and is called so.
    mean = "mean " if comparison.results[best].folds and not metric.startswith("mean ") else ""
    runs = comparison.results
    others = {place: comparison.difference(best, place, question) for place in range(len(runs)) if place != best}
    sentences = [
        f"On {name_images(comparison)}, {join_names([runs[place].name for place in leaders])} "
        f"{'share' if shared else 'has'} the highest {mean}{metric} of {len(runs)} runs: "
        f"{number(comparison.value(best, question))}."
    ]
    if shared:
        sentences.append(f"What follows compares {runs[best].name} with the others.")
    whose = f"The {metric} of {runs[best].name}" if shared else f"Its {metric}"
    sentences += _say_shown(runs, whose, {place: entry for place, entry in others.items() if is_shown(entry)})
    sentences += _say_open(
        runs,
        metric,
        {place: entry for place, entry in others.items() if entry["p"] is not None and not is_shown(entry)},
        len(others),
    )
    if untested := [runs[place].name for place, entry in others.items() if entry["p"] is None]:
        sentences.append(f"The difference from {_name(untested)} could not be tested.")
    if len(leaders) < len(runs):
        lead = "runs, so that their lead" if shared else "run, so that its lead"
        unit = unit_of(runs[best].metrics)
        sentences.append(f"These test {unit}s also chose the best {lead} looks larger than it is on new {unit}s.")
    return sentences


def _say_shown(runs, whose, shown) -> list[str]:
    if not shown:
        return []
    corrected = "p" if len(runs) == 2 else "Holm-corrected p"
    # The largest p, so that the sentence holds for each run that it names.
    largest = max(entry["p_holm"] for entry in shown.values())
    p = f"{corrected} {say_p(largest)}" if len(shown) == 1 else f"each {corrected} {_say_bound(largest)}"
    return [f"{whose} was shown to be higher than that of {_name([runs[i].name for i in shown])} ({p})."]


def _say_bound(p) -> str:
    return say_p(p) if p < 0.001 else f"{say_p(p)} or less"


def _say_open(runs, metric, entries, of) -> list[str]:
    if not entries:
        return []
    names = [runs[place].name for place in entries]
    # Differences are the best run minus the other: up to `high` the other may be lower, up to -`low` higher.
    ends = [(entry["high"], -entry["low"]) for entry in entries.values() if entry["low"] is not None]
    lower, higher = (max(0.0, *side) for side in zip((0.0, 0.0), *ends, strict=True))
    spans = [f"{number(span)} {word}" for span, word in ((lower, "lower"), (higher, "higher")) if span > 0]
    those = names[0] if len(names) == 1 else "these runs" if len(ends) == len(names) else "those that have one"
    whose = f"the {metric} of {those}"
    whom = _name(names) if len(names) == of or len(names) <= _MOST_NAMED else f"the other {len(names)} runs"
    bounds = f": by the 95 % intervals {whose} may be up to {' or '.join(spans)}" if spans else ""
    return [f"No difference in {metric} from {whom} was shown. That does not mean that they are equal{bounds}."]


def _name(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMED:
        return f"{len(names)} other runs"
    return join_names(names)
