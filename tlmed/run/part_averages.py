"""Means over folds for parts of the test images: for subgroups, and for images that are not known."""

from collections.abc import Mapping

from tlmed.evaluation.measures import list_part_metrics
from tlmed.metrics.definitions import CLASS_METRICS
from tlmed.metrics.sample_sizes import say_absent
from tlmed.run.metric_averages import average_some, say_by_fold
from tlmed.tasks import read_task
from tlmed.words import join_names


def average_without_leaks(names, split, results) -> dict[str, Mapping]:
    """Return the means without the test images that training or validation has seen; nothing where no fold has any.

    A fold without such images counts with all of its images; if no image is left in a fold, there is no mean.
    """
    if not any("without_leaks" in result for result in results):
        return {}
    found = [result.get("without_leaks") or _keep_all(result) for result in results]
    left = sum(part["n"] for part in found)
    undefined = {"value": None, "low": None, "high": None, "method": None, "reason": "no image is left."}
    nothing = dict.fromkeys(list_part_metrics(read_task(results[0]), "costs" in results[0]), undefined)
    parts = {name: {**part, "metrics": part["metrics"] or nothing} for name, part in zip(names, found, strict=True)}
    return {
        "without_leaks": {
            # Each repeat tests every image once, and the same ones are leaked in each.
            "leaked": sum(part["leaked"] for part in found) // split.repeats,
            "n": left // split.repeats,
            "metrics": _average_parts(parts, split, results[0].get("positive")) if left else {},
        }
    }


def _keep_all(result) -> dict:
    """Return the entry of a fold without leaked test images: all of its images are left."""
    kept = {name: result["metrics"][name] for name in list_part_metrics(read_task(result), "costs" in result)}
    return {"leaked": 0, "n": result["n"], "metrics": kept}


def average_subgroups(names, split, results) -> dict[str, Mapping]:
    """Return the means for each value of each trait, and why there are none where a fold is not divided by it."""
    found, left_out = {}, {}
    tables = [result.get("subgroups", {}) for result in results]
    traits = dict.fromkeys(
        trait for result in results for key in ("subgroups", "subgroups_left_out") for trait in result.get(key, {})
    )
    for trait in traits:
        if reason := _say_undivided(trait, names, results):
            left_out[trait] = reason
            continue
        values = sorted({value for table in tables for value in table[trait]})
        found[trait] = {
            value: _average_subgroup(
                {name: table[trait].get(value) for name, table in zip(names, tables, strict=True)},
                split,
                results[0].get("positive"),
            )
            for value in values
        }
    return {key: part for key, part in (("subgroups", found), ("subgroups_left_out", left_out)) if part}


def _average_subgroup(parts: Mapping[str, Mapping | None], split, positive) -> dict:
    """Return the means of one subgroup; `parts` are its entries by fold, None where a fold tests no image of it."""
    tested = [part for part in parts.values() if part is not None]
    counted = [key for key in ("n", "leaked") if any(key in part for part in tested)]
    counts = {key: sum(part.get(key, 0) for part in tested) // split.repeats for key in counted}
    return counts | {"metrics": _average_parts(parts, split, positive)}


def _average_parts(parts: Mapping[str, Mapping | None], split, positive) -> dict:
    """Return the mean of each metric of a part of the images, such as a subgroup, over the folds that have its classes.

    Of more than two classes a metric is the mean over the classes present, another one where another class is absent;
    of two it is then undefined. Such folds are left out: which classes a part has does not depend on the network.

    Args:
        parts: The part in each fold, by the fold's name; None where the fold has no image of it.
        split: How the images were divided.
        positive: The positive one of two classes; None for more.
    """
    held = {fold: set(part.get("absent", ())) for fold, part in parts.items() if part is not None}
    nowhere = set.intersection(*held.values())
    lacking = {fold: absent - nowhere for fold, absent in held.items()}
    found = {}
    for metric in next(part for part in parts.values() if part is not None)["metrics"]:
        left_out, entries = {}, {}
        for fold, part in parts.items():
            if part is None:
                left_out[fold] = "no image."
            elif _misses(metric, part["metrics"][metric], lacking[fold], positive):
                left_out[fold] = f"no image of {join_names(map(repr, sorted(lacking[fold])))}."
            else:
                entries[fold] = part["metrics"][metric]
        found[metric] = average_some(metric, entries, left_out, split)
        # A mean over labels says by itself which of them it leaves out.
        said = found[metric]["value"] is None or "absent" in found[metric]
        if nowhere and positive is None and metric in CLASS_METRICS and not said:
            found[metric] |= {"note": " ".join(filter(None, [say_absent(sorted(nowhere)), found[metric].get("note")]))}
    return found


def _misses(metric, entry, lacking, positive) -> bool:
    """Tell whether a metric of a part misses classes that it lacks; accuracy, costs and error in grades never do."""
    return (
        bool(lacking)
        and metric not in ("accuracy", "mean_absolute_error", "expected_cost")
        and (positive is None or entry["value"] is None)
    )


def _say_undivided(trait, names, results) -> str:
    """Say in which folds a trait makes no subgroups; "" where it does in all."""
    return say_by_fold(
        {
            fold: result.get("subgroups_left_out", {}).get(trait, "not scored.")
            for fold, result in zip(names, results, strict=True)
            if trait not in result.get("subgroups", {})
        }
    )
