"""What `metrics.json` holds as lines for a terminal, each metric with its interval."""

from collections.abc import Iterable, Mapping

from tlmed.answer_units import (
    IMAGE,
    is_whole,
    say_all_undecided,
    say_answers,
    say_least,
    say_undecided,
    say_where,
    unit_of,
)
from tlmed.evaluation.answer_rules import say_rule
from tlmed.evaluation.deciding_lines import describe_cheapest, describe_equal_majority, list_deciding
from tlmed.evaluation.decision_lines import list_at_prevalence, name_rule, say_median, say_threshold
from tlmed.evaluation.label_lines import describe_labels, is_class_mean, name_whole, say_means
from tlmed.evaluation.predictions import HALF
from tlmed.evaluation.unusual_lines import describe_unusual
from tlmed.metrics import say_positive
from tlmed.metrics.calibration import sort_changes
from tlmed.metrics.definitions import CALIBRATED, CLASS_METRICS
from tlmed.metrics.names import list_once, name_metric
from tlmed.tasks import MULTI_LABEL, ORDINAL, read_task
from tlmed.words import NAMED, as_shown, count, join_names, listed, percent, span, thousandths

SMALL = 30  # with fewer images or groups a note says how much depends on a single one
# With more than this share of the images in one group (and more than twice the mean), that group decides much of every
# score, and intervals are wide. Groups of equal sizes are no such case, however few.
DOMINANT = 0.1
_WIDTH = 18  # of the names of metrics


def describe_metrics(result: Mapping) -> list[str]:
    """Return the content of `metrics.json` as lines for a person."""
    groups = f" of {count(result['groups'], 'group')}" if result.get("groups") else ""
    n = count(result["n"], unit_of(result)) + groups
    positive = say_positive(
        result["classes"], result["positive"], result.get("positive_asked", False), "; positive: {}"
    )
    bounded = any(entry["low"] is not None for entry in result["metrics"].values())
    said = "with 95 % intervals" if bounded else "too few for intervals"
    title = "All" if is_whole(result) else result["split"].capitalize()
    title = f"{title} ({n}{positive}){say_means(result)}, {said}:"
    lines, median = [title, *_list(list_once(result)), *_describe_means(result)], say_median(result)
    lines += [*describe_labels(result), *([f"  {median}"] if median else [])]
    for describe in (
        describe_size,
        describe_reversed,
        describe_validation,
        _describe_without_leaks,
        _describe_samples,
        _describe_point,
        _describe_calibration,
        _describe_prevalence,
        describe_unusual,
        _describe_baselines,
    ):
        lines += describe(result)
    for trait, values in result.get("subgroups", {}).items():
        for value, part in values.items():
            counted = f"({_count_part(part, result)}){say_means(result)}"
            lines += [f"{trait} {value or 'empty'} {counted}:", *_list(part["metrics"])]
    return lines + [f"Not by {trait}: {why}" for trait, why in result.get("subgroups_left_out", {}).items()]


def _count_part(part, result) -> str:
    """Return the images of a subgroup, and how many of them training or validation knows."""
    known = f", {say_least(result)}{part['leaked']:,} known from training or validation" if "leaked" in part else ""
    return f"{count(part['n'], unit_of(result))}{known}"


def _describe_means(result) -> list[str]:
    """Say of more than two classes which metrics are means over them; what subgroups and baselines show is so, too."""
    shown = [name for name in CLASS_METRICS if is_class_mean(name, result) and name in result["metrics"]]
    return [f"  Means over the classes, each against the rest: {', '.join(shown)}."] if shown else []


def describe_left_out(result: Mapping) -> list[str]:
    """Say which rows of a file of predictions are of other splits than the one that was scored.

    Args:
        result: The content of `metrics.json`.

    >>> evaluated = {"predictions": "all.csv", "not_scored": {"train": 40, "val": 1}}
    >>> describe_left_out({"split": "test", "n": 20, "evaluated": evaluated})
    ["Of all.csv, 20 rows of 'test' are scored; not scored: 40 of 'train' and 1 of 'val'."]
    """
    evaluated = result["evaluated"]
    if not evaluated.get("not_scored"):
        return []
    named = join_names(f"{number:,} of {name!r}" for name, number in evaluated["not_scored"].items())
    what = "row" if unit_of(result) == IMAGE else unit_of(result)
    scored = f"{count(result['n'], what)} of {result['split']!r} {'is' if result['n'] == 1 else 'are'} scored"
    return [f"Of {evaluated['predictions']}, {scored}; not scored: {named}."]


def describe_reversed(result: Mapping) -> list[str]:
    """Say so where the whole interval of the AUC lies below 0.5: something is the wrong way round.

    Of more than two classes those are named whose own AUC does: their scores may be exchanged though the mean is high.

    >>> describe_reversed({"metrics": {"auc": {"value": 0.2, "low": 0.1, "high": 0.3}}})[0].partition(":")[0]
    'The whole interval of the AUC lies below 0.5'
    """
    if is_reversed(result["metrics"]):
        whose, what = f"the {name_whole('auc', result)}", "the classes"
    else:
        found = [label for label, entry in result.get("per_class", {}).items() if is_reversed(entry)]
        # Of two classes, which are no labels, both AUCs are the same.
        if (len(result.get("per_class", {})) == 2 and read_task(result) != MULTI_LABEL) or not found:
            return []
        whose, what = f"the AUC of {listed(found, 3)}", f"{unit_of(result)}s of the class and others"
    return [
        f"The whole interval of {whose} lies below 0.5: the scores rank {what} the wrong way round more often "
        "than chance does. Are labels, or the columns of scores, swapped?"
    ]


def is_reversed(metrics: Mapping) -> bool:
    """Tell whether the whole interval of the AUC lies below 0.5; by chance it does so in about one of 40 draws."""
    high = metrics.get("auc", {}).get("high")
    return high is not None and as_shown(high) < 0.5


def describe_validation(result: Mapping) -> list[str]:
    """Say so where what was kept ranks even the validation images, by which it was chosen, worse than chance does.

    >>> auc = {"value": 0.257, "low": 0.12, "high": 0.46}
    >>> describe_validation({"validation": {"n": 40, "metrics": {"auc": auc}}})[0].partition(":")[0]
    'On the 40 validation images the AUC of what was kept is 0.257 (0.120 to 0.460), below 0.5'
    """
    folds = result.get("folds", [])
    found = {fold["fold"]: fold["validation"] for fold in folds if "validation" in fold}
    if "validation" in result:
        n, auc = result["validation"]["n"], _say_validation(result["validation"])
        where = f"On the {count(n, f'validation {unit_of(result)}')}"
        said = f"{where} the {name_whole('auc', result)} of what was kept is {auc}, below 0.5: it ranks them"
    elif found:
        named = listed((f"{_say_validation(entry)} in fold {fold}" for fold, entry in found.items()), NAMED)
        which = f"{len(found)} of {count(len(folds), 'fold')}"
        said = (
            f"In {which} the validation AUC of what was kept is below 0.5: {named}. Those {unit_of(result)}s are ranked"
        )
    else:
        return []
    rate = "" if "classifier" in result else ", or the rate too high"  # a hybrid has none
    return [f"{said} the wrong way round more often than chance does. Are labels wrong{rate}?"]


def _say_validation(entry) -> str:
    return describe_metric(entry["metrics"]["auc"]).replace("  (", " (")


def describe_better_baselines(result: Mapping) -> list[str]:
    """Say by which metric that decides, or AUC, baselines read better than the result, which should beat them.

    What one class for every image costs is said of the cheapest one, which need not be the majority.

    >>> better = {"random_weights": {"auc": {"value": 0.79, "low": None}}}
    >>> describe_better_baselines({"metrics": {"auc": {"value": 0.66}}, "baselines": better})
    ['The baseline random weights has a higher AUC, 0.790: the result does not beat it.']
    """
    better = [_say_better(result, metric) for metric in list_deciding(result)]
    return [*describe_cheapest(result), *describe_equal_majority(result), *filter(None, better)]


def _say_better(result, metric) -> str:
    own, found, is_cost = result["metrics"][metric].get("value"), {}, metric == "expected_cost"
    for name, baseline in result.get("baselines", {}).items():
        value = baseline[metric]["value"]
        if None in (own, value) or (is_cost and name == "majority_class"):
            continue
        # Only what is shown counts: two numbers that read alike are no difference.
        shown = as_shown(own), as_shown(value)
        if shown[1] < shown[0] if is_cost else shown[1] > shown[0]:
            found[name.replace("_", " ")] = describe_metric(baseline[metric]).replace("  (", " (")
    if not found:
        return ""
    what = f"a {'lower' if is_cost else 'higher'} {name_whole(metric, result)}"
    if len(found) == 1:
        said = f"The baseline {{}} has {what}, {{}}".format(*next(iter(found.items())))
    else:
        said = f"{len(found)} baselines have {what}, {join_names(f'{name} {entry}' for name, entry in found.items())}"
    return f"{said}: the result does not beat {'it' if len(found) == 1 else 'them'}."


def describe_below_majority(result: Mapping) -> list[str]:
    """Say so where the AUC without known images is below that of the most frequent class, which is the same anywhere.

    Other baselines learned from the same training images: without known images their AUC is another one, too.
    """
    found = result.get("without_leaks") or {"metrics": {}}
    auc = found["metrics"].get("auc", {}).get("value")
    majority = result.get("baselines", {}).get("majority_class", {}).get("auc", {}).get("value")
    if None in (auc, majority) or as_shown(auc) >= as_shown(majority):
        return []
    return [
        f"{_name_without(result)} the {name_whole('auc', result)} is {_say_auc(found)}, below the "
        f"{thousandths(majority)} of the baseline majority class: the result does not beat a classifier "
        "without transfer learning."
    ]


def _name_without(result) -> str:
    found = result["without_leaks"]
    units = count(result["n"], unit_of(result))
    known = f"{say_least(result)}{found['leaked']:,} of {units}"
    return f"Without {known} that training or validation knows{say_undecided(result)}"


def describe_size(result: Mapping) -> list[str]:
    """Say how much depends on one image, or on one group: of a small test set, and where one group dominates.

    >>> describe_size({"n": 20})
    ['Only 20 images: one alone is 5 % of all, so treat every score as rough.']
    """
    n, groups = result["n"], result.get("groups")
    units, noun = (groups, "group") if groups else (n, unit_of(result))
    said = []
    if units < SMALL:
        share = percent(_count_largest(result) / n)
        said.append(f"Only {count(units, noun)}: one alone is {share} of all, so treat every score as rough.")
    return [*said, *describe_dependence(result)]


def describe_dependence(result: Mapping) -> list[str]:
    """Say what makes scores rest on less than their number of images: a dominant group, and copies.

    >>> describe_dependence({"n": 252, "copies": 189})[0].partition(",")[0]
    '189 of 252 images repeat another one'
    """
    said = _describe_dominance(result)
    if copies := result.get("copies"):
        verb = "repeats" if copies == 1 else "repeat"
        said.append(
            f"{copies:,} of {count(result['n'], unit_of(result))} {verb} another one, and each counts by itself: many "
            "of them make intervals too narrow, and differences look surer than they are."
        )
    return said


def _describe_dominance(result: Mapping) -> list[str]:
    """Say so where one group has a large share of the images.

    >>> _describe_dominance({"n": 200, "groups": 59, "largest_group": 42})[0].partition(":")[0]
    'The largest group holds 42 of 200 images'
    """
    n, largest = result["n"], _count_largest(result)
    if largest <= DOMINANT * n or largest <= 2 * n / (result.get("groups") or n):
        return []
    return [
        f"The largest group holds {largest:,} of {count(n, unit_of(result))}: every score, which counts "
        f"{unit_of(result)}s, depends "
        "much on that group."
    ]


def _count_largest(result) -> float:
    """Return the images of the largest group; where none has several, those of any."""
    return result.get("largest_group", result["n"] / (result.get("groups") or result["n"]))


def describe_metric(metric: Mapping) -> str:
    """Return a metric's value and interval, or why it has none.

    >>> describe_metric({"value": 0.8, "low": 0.75, "high": 0.85, "method": "Wilson"})
    '0.800  (0.750 to 0.850)'
    """
    if metric["value"] is None:
        return f"undefined: {metric['reason']}"
    if metric["low"] is None:
        return thousandths(metric["value"])
    return f"{thousandths(metric['value'])}  ({span(metric['value'], metric['low'], metric['high'])})"


def _list(metrics: Mapping, names: Iterable[str] | None = None) -> list[str]:
    """Return a line for each metric, and one for each note, with the metrics that it is about."""
    names, notes = tuple(metrics if names is None else names), {}
    for name in names:
        if note := metrics[name].get("note"):
            notes.setdefault(note, []).append(name)
    width = max((_WIDTH, *map(len, names)))
    values = [f"  {name:<{width}} {describe_metric(metrics[name])}" for name in names]
    return values + [f"  Note on {', '.join(noted)}: {note}" for note, noted in notes.items()]


def _note(part: Mapping) -> list[str]:
    return [f"  {part['note']}"] if "note" in part else []


def _describe_without_leaks(result) -> list[str]:
    """Say the scores without the test images that training or validation has seen."""
    found = result.get("without_leaks")
    if found is None:
        return [said] if (said := say_all_undecided(result)) else []
    known = _name_without(result)
    return [f"{known}{say_means(result)}:", *_list(found["metrics"])] if found["n"] else [f"{known} none is left."]


def say_without_leaks(result: Mapping) -> list[str]:
    """Say in one sentence what the AUC is without the test images that training or validation knows.

    >>> known = {"n": 30, "leaked": 6, "metrics": {"auc": {"value": 0.7, "low": 0.5, "high": 0.85}}}
    >>> say_without_leaks({"n": 36, "without_leaks": known, "metrics": {}})
    ['Without 6 of 36 images that training or validation knows the AUC is 0.700 (0.500 to 0.850).']
    """
    found = result.get("without_leaks")
    if found is None:
        return [said] if (said := say_all_undecided(result)) else []
    if not found["n"]:
        return [f"{_name_without(result)} none is left."]
    return [f"{_name_without(result)} the {name_whole('auc', result)} is {_say_auc(found)}."]


def _say_auc(found) -> str:
    return describe_metric(found["metrics"]["auc"]).replace("  (", " (")


def _describe_samples(result) -> list[str]:
    """Say how well single images are told apart, where their scores were pooled."""
    found = result.get("per_sample")
    if found is None:
        return []
    return [f"Each image by itself ({found['n']:,}){say_means(result)}:", *_list(found["metrics"])]


def _describe_point(result) -> list[str]:
    """Say by which threshold or rule classes were predicted, where it comes from, and what scores alone would give."""
    point, decision = result.get("operating_point"), result.get("decision")
    if point is None and decision is None:
        return []
    shown = ("accuracy", "sensitivity", "specificity", "expected_cost")
    if point is None:
        plain = decision["by_score"]
        how = "the median grade" if read_task(result) == ORDINAL else "the highest score"
        before = [f"By {how} instead:", *_list(plain, [name for name in shown if name in plain])]
        return [f"Predicted: {say_rule(decision)}.", *before]
    before = ["At 0.5 instead:", *_list(point["at_half"], [name for name in shown if name in point["at_half"]])]
    if "threshold" not in point:
        own = ", that of the recipe" if point["rule"] == "fixed" else f" of its own ({name_rule(point)})"
        return [f"Each fold has a threshold{own}.", *before]
    if point["threshold"] == HALF:
        before = []
    return [f"Threshold of {result['positive']}: {say_threshold(result)}.", *_note(point), *before]


def _describe_calibration(result) -> list[str]:
    calibration = result.get("calibration")
    if calibration is None:
        return []
    fitted = "temperature" in calibration and calibration.get("fitted", True)
    origin = f" at temperature {thousandths(calibration['temperature'])}" if fitted else ""
    shown = {name: entry for name, entry in calibration["metrics"].items() if name in CALIBRATED}
    return [f"Calibrated{origin}{say_means(result)}:", *_note(calibration), *_list(shown), *describe_worse(result)]


def describe_worse(result: Mapping) -> list[str]:
    """Say so where calibration made scores worse, in what is shown of them.

    >>> before, after = {"log_loss": {"value": 0.4}, "ece": {"value": 0.2}}, {"log_loss": {"value": 0.5}}
    >>> calibration = {"metrics": after | {"ece": {"value": 0.1}}}
    >>> describe_worse({"split": "test", "metrics": before, "calibration": calibration})
    ['On the test split, calibration made Log loss worse, though Expected calibration error fell.']
    >>> describe_worse({"folds": [], "metrics": before, "calibration": {"metrics": after}})
    ['On average over the folds, calibration made Log loss worse.']
    """
    if not result.get("calibration", {}).get("metrics"):
        return []
    worse, better = (join_names(map(name_metric, names)) if names else "" for names in sort_changes(result))
    but = f", though {better} fell" if better else ""
    return [f"{say_where(result)}, calibration made {worse} worse{but}."] if worse else []


def _describe_prevalence(result) -> list[str]:
    found = result.get("at_prevalence")
    if found is None:
        return []
    return [f"At a prevalence of {found['prevalence']:g}:", *_list(found, list_at_prevalence(found))]


def _describe_baselines(result) -> list[str]:
    lines = []
    for name, baseline in result.get("baselines", {}).items():
        always = f", always {say_answers(baseline['answers'])}" if "answers" in baseline else ""
        shown = [*list_deciding(result), *(["accuracy"] if "accuracy" in baseline else [])]
        lines += [f"Baseline {name.replace('_', ' ')}{always}{say_means(result)}:", *_list(baseline, shown)]
    return [*lines, *describe_better_baselines(result), *describe_below_majority(result)]
