"""The AUC of each label, class or cut between grades, on development and on test images: their mean hides the worst."""

from collections.abc import Mapping, Sequence

import numpy as np

from tlmed.advising.trials import AUC, Score, average_scores
from tlmed.advising.work import CHANCE
from tlmed.data import ImageSet, join_units
from tlmed.metrics import holm
from tlmed.metrics.combining import compare_independent
from tlmed.run_files import Metrics
from tlmed.sections import KFold
from tlmed.split_names import LEARNED
from tlmed.tasks import MULTI_LABEL, ORDINAL, read_task


def name_cut(grade: str) -> str:
    """Return what the grades above one of them are called.

    >>> name_cut("mild")
    'above mild'
    """
    return f"above {grade}"


def list_parts(result: Metrics) -> dict[str, Mapping]:
    """Return the AUC of each label, of each class against the rest, or of the grades above each; {} for two classes.

    Args:
        result: The content of `metrics.json`.

    >>> own = {"ill": {"auc": {"value": 0.9}}, "well": {"auc": {"value": 0.9}}}
    >>> list_parts({"classes": ["ill", "well"], "per_class": own})
    {}
    >>> list_parts({"task": "multi-label", "classes": ["ill", "well"], "per_class": own})["ill"]
    {'value': 0.9}
    """
    task, classes = read_task(result), result["classes"]
    if len(classes) < (2 if task == MULTI_LABEL else 3):
        return {}
    if task == ORDINAL:
        return {name_cut(grade): cut[AUC] for grade, cut in result["cuts"].items()}
    return {name: entry[AUC] for name, entry in result["per_class"].items()}


def count_sides(images: ImageSet, task: str) -> dict[str, tuple[int, int]]:
    """Return how many patients, or images of none, each part has in development, and how many are without it.

    Args:
        images: All images, in their splits.
        task: Of `tlmed.tasks`.
    """
    table, learned = images.table, np.isin(images.splits, LEARNED)
    units = join_units(table.groups, images.sha256)
    found = {}
    for number, name in enumerate(table.classes[:-1] if task == ORDINAL else table.classes):
        has, known = table.has(number), learned
        if task == ORDINAL:
            name, has = name_cut(name), table.labels > number
        elif task == MULTI_LABEL:
            known = learned & (table.labels[:, number] >= 0)
        found[name] = len(np.unique(units[known & has])), len(np.unique(units[known & ~has]))
    return found


def score_parts(results: Sequence[Metrics], division: KFold, sides: Mapping[str, Sequence[int]]) -> dict[str, Score]:
    """Return the AUC of each part on development images, as `average_scores` makes it of its AUC in each fold.

    Args:
        results: The content of `metrics.json` of each fold.
        division: How the development images are divided.
        sides: As `count_sides` returns them.
    """
    found = [list_parts(result) for result in results]
    return {
        name: average_scores(
            [{"n": result["n"], "metrics": {AUC: parts[name]}} for result, parts in zip(results, found, strict=True)],
            AUC,
            division,
            tuple(sides[name]),
        )
        for name in found[0]
    }


def join_parts(
    development: Mapping[str, Mapping], tested: Mapping[str, Mapping], is_better: bool = False
) -> list[dict]:
    """Return what `advice.json` says of each part: both scores, whether they show anything, and their difference.

    The p-values of the differences are corrected for their number.

    Args:
        development: Scores of parts, by name.
        tested: Those of the answer on test images.
        is_better: As for `measure_difference`.
    """
    parts = [
        {
            "name": name,
            "development": development[name],
            "test": {"method": None, **test},
            "shown": is_above_chance(development[name]) and is_above_chance(test),
            "difference": measure_difference(development[name], test, is_better),
        }
        for name, test in tested.items()
        if name in development
    ]
    corrected = holm([each["difference"] and each["difference"]["p"] for each in parts])
    for each, p in zip(parts, corrected, strict=True):
        if each["difference"] is not None:
            each["difference"]["p"] = p
    return parts


def is_above_chance(entry: Mapping) -> bool:
    """Tell whether the whole interval of an AUC lies above guessing."""
    return entry.get("low") is not None and entry["low"] > CHANCE


def measure_difference(development: Mapping, tested: Mapping, is_better: bool = False) -> dict | None:
    """Return how far an AUC on development images lies above that on test images; None where one has no interval.

    None, too, where the test images have the higher one and it is that of another network, or of several: what answers
    better is no contradiction, and a p-value of it would say nothing of the images.

    Args:
        development: The AUC on development images.
        tested: That of the answer on test images.
        is_better: Whether the answer may be better than what the first is of: not tried there, or several networks.
    """
    if None in (development["low"], tested.get("low")):
        return None
    found = compare_independent(development, tested)
    return None if is_better and found["value"] < 0 else found
