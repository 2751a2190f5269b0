"""The result of a cross-validation: a table of its folds, and the mean of each metric with its interval."""

import functools
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tlmed.answer_units import describe_majority, name_rows, unit_of
from tlmed.evaluation.measures import SUBGROUP_METRICS
from tlmed.evaluation.pooled_csv import list_tables
from tlmed.evaluation.pooling import list_unit_groups, read_pooling
from tlmed.intact import check_intact
from tlmed.metrics.fold_means import average_folds
from tlmed.metrics.packed_confusion import pack_confusion, unpack_confusion
from tlmed.run_files import FOLDS_CSV, METRICS_JSON, SPLITS_CSV, TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.sections import KFold
from tlmed.whole_files import read_csv, write_csv
from tlmed.words import join_names, listed

_RANGES = {
    **dict.fromkeys(("mcc", "kappa", "quadratic_kappa"), (-1.0, 1.0)),
    "log_loss": (0.0, float("inf")),
    "brier": (0.0, 2.0),
}
_RANGE = (0.0, 1.0)  # of all other metrics
_MOST_NAMED = 3  # so many folds are named in a note


def write_averages(run: RunDir, split: KFold, folds: Sequence[RunDir]) -> dict:
    """Write `folds.csv`, `metrics.json`, `timing.json` and, where each image was tested once, predictions.

    Args:
        run: The directory above the folds.
        split: How the images were divided.
        folds: The folds' runs, complete, in order.

    Returns:
        The content of `metrics.json`. No metric is computed over the predictions of several folds together: each fold
        has its own network, and a score of 0.7 does not mean the same in all of them.

    Raises:
        InputError: If a fold's files were changed after it wrote them: it may have been complete for a long time.
    """
    results = [METRICS_JSON.read(fold) for fold in folds]
    for fold, result in zip(folds, results, strict=True):
        check_intact(fold, ("splits.csv", *list_tables(result), "metrics.json", "examples.json"))
    timings = [TIMING_JSON.read(fold) for fold in folds]
    sizes = [_count_splits(fold) for fold in folds]
    _write_table(run, split, folds, results, timings, sizes)
    content = _average_all(split, folds, results)
    METRICS_JSON.write(run, content)
    TIMING_JSON.write(run, _add_up(folds, timings))
    if split.repeats == 1:
        for table in list_tables(content):
            _write_predictions(run, folds, table)
    return content


def average(name: str, entries: Mapping[str, Mapping], split: KFold) -> dict:
    """Return the mean of a metric over the folds, with its interval: the corrected resampled t (Nadeau & Bengio 2003).

    Folds that agree by luck would make it narrower than their few images allow. So each bound is at least as far from
    the mean as in the interval that the folds' own intervals combine to.

    Args:
        name: The metric's.
        entries: The metric's entry in each fold's `metrics.json`, by the fold's name.
        split: How the images were divided.

    Returns:
        `value`, `low`, `high` and `method`, as in every `metrics.json`. Where the metric is undefined in a fold the
        mean is too, and `reason` names the fold; `note` says where the interval was cut, why there is none, or that
        it rests on the spread of the folds alone, because one of them has no interval of its own.
    """
    if reason := _say_undefined(entries):
        return {"value": None, "low": None, "high": None, "method": None, "reason": reason}
    values = [entry["value"] for entry in entries.values()]
    found = {"value": float(np.mean(values)), "low": None, "high": None, "method": None}
    alike, images = min(values) == max(values), _combine_folds(entries.values(), split)
    if alike and images is None:
        return {**found, "note": "All folds have the same value, from which no interval follows."}
    spread = average_folds(values, split.test_share)
    # Without images the spread of the folds decides alone; with them, whichever reaches further on each side.
    low, high = (
        (spread["low"], spread["high"])
        if images is None
        else (min(spread["low"], images[0]), max(spread["high"], images[1]))
    )
    least, most = _RANGES.get(name, _RANGE)
    by_images = (low, high) != (spread["low"], spread["high"])
    found |= {"low": max(low, least), "high": min(high, most), "method": _name_method(split, by_images)}
    cut = [f"{bound:g}" for bound, past in ((least, low < least), (most, high > most)) if past]
    notes = [f"The interval is cut at {' and at '.join(cut)}."] if cut else []
    if images is None:
        notes.append(_say_open(entries))
    return {**found, "note": " ".join(notes)} if notes else found


def _combine_folds(entries: Collection[Mapping], split) -> tuple[float, float] | None:
    """Return the interval of the mean that the folds' own intervals give, None where one has none.

    Folds have no image in common, so the squared distances to their bounds add up (MOVER: Zou & Donner, Statistics in
    Medicine 2008, 27:1693-1702). Repeats have the same images, so their distances are averaged and do not shrink.
    """
    if any(entry.get("low") is None or entry.get("high") is None for entry in entries):
        return None
    mean = sum(entry["value"] for entry in entries) / len(entries)
    # sqrt(sum d^2) / k within a repeat of k folds; the factor makes it the root mean square over the repeats.
    down, up = (
        math.sqrt(split.repeats * sum((entry["value"] - entry[end]) ** 2 for entry in entries)) / len(entries)
        for end in ("low", "high")
    )
    return mean - down, mean + up


def _say_open(entries) -> str:
    """Name the folds without an interval: because of them the interval of the mean leaves out the images' part."""
    folds = [fold for fold, entry in entries.items() if entry.get("low") is None or entry.get("high") is None]
    which = f"Fold {folds[0]} has" if len(folds) == 1 else f"Folds {listed(folds, _MOST_NAMED)} have"
    return f"{which} no interval: this one shows how the folds vary, without the sampling error of their images."


def _say_undefined(entries) -> str:
    """Say in which folds a metric is undefined, and why."""
    return _name_folds(
        {fold: entry.get("reason", "undefined.") for fold, entry in entries.items() if entry["value"] is None}
    )


def _name_folds(reasons: Mapping[str, str]) -> str:
    """Return reasons as sentences, each with the folds that it holds for; `reasons` are by fold."""
    found = {}
    for fold, why in reasons.items():
        found.setdefault(why, []).append(fold)
    return " ".join(f"In fold{'s' * (len(folds) > 1)} {', '.join(folds)}: {why}" for why, folds in found.items())


def _name_method(split, by_images) -> str:
    repeats = f" x {split.repeats} repeats" if split.repeats > 1 else ""
    method = f"corrected resampled t, {split.k} folds{repeats} (Nadeau & Bengio 2003)"
    return f"{method}, widened to the folds' own intervals combined (Zou & Donner 2008)" if by_images else method


def _average_all(split, folds, results) -> dict:
    first, names = results[0], [fold.path.name for fold in folds]
    mean = functools.partial(_average_each, names, split)
    content = {
        "split": "test",
        "unit": unit_of(first),
        # Every image is in the test split of one fold of each repeat.
        "n": sum(result["n"] for result in results) // split.repeats,
        "classes": first["classes"],
        "positive": first["positive"],
        **({"positive_asked": first["positive_asked"]} if "positive_asked" in first else {}),
        **_count_groups(folds[0], first),
        "metrics": mean([result["metrics"] for result in results]),
        "per_class": {
            label: {
                # Every repeat tests all images once, so that the sum counts each of them `repeats` times.
                "n": sum(result["per_class"][label]["n"] for result in results) // split.repeats,
                **mean([_only_metrics(result["per_class"][label]) for result in results]),
            }
            for label in first["classes"]
        },
        # Unlike scores, labels mean the same in every fold, so the confusion matrices can be added up.
        "confusion": pack_confusion(sum(map(unpack_confusion, results)), first["classes"]),
        "folds": [_describe_fold(*each) for each in zip(names, results, strict=True)],
    }
    content["baselines"] = {
        name: {
            **_describe_baseline([result["baselines"][name] for result in results], unit_of(first)),
            **mean([_only_metrics(result["baselines"][name]) for result in results]),
        }
        for name in first["baselines"]
    }
    # Each fold chose its own threshold and temperature. Their mean would belong to no network, so it is not given.
    content["calibration"] = {
        "method": first["calibration"]["method"],
        "metrics": mean([result["calibration"]["metrics"] for result in results]),
    }
    if "operating_point" in first:
        at_half = mean([result["operating_point"]["at_half"] for result in results])
        content["operating_point"] = {"rule": first["operating_point"]["rule"], "at_half": at_half}
    if "at_prevalence" in first:
        values = mean([_only_metrics(result["at_prevalence"]) for result in results])
        content["at_prevalence"] = {"prevalence": first["at_prevalence"]["prevalence"], **values}
    if undecided := sum(result.get("undecided", 0) for result in results):
        content["undecided"] = undecided // split.repeats  # as for images that are known
    content |= _average_without_leaks(names, split, results) | _average_subgroups(names, split, results)
    if "pool" not in first:
        return content
    # What `average` says of images holds for units here, and for images in `per_sample` alone.
    samples = {"pool": first["pool"], "per_sample": _average_samples(mean, results, split)}
    return name_rows(content, unit_of(first)) | samples


def _average_without_leaks(names, split, results) -> dict[str, Mapping]:
    """Return the means without the test images that training or validation has seen; nothing where no fold has any.

    A fold without such images counts with all of its images; if no image is left in a fold, there is no mean.
    """
    if not any("without_leaks" in result for result in results):
        return {}
    found = [result.get("without_leaks") or _keep_all(result) for result in results]
    left = sum(part["n"] for part in found)
    undefined = {"value": None, "low": None, "high": None, "method": None, "reason": "no image is left."}
    nothing = dict.fromkeys(SUBGROUP_METRICS, undefined)
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
    return {"leaked": 0, "n": result["n"], "metrics": {name: result["metrics"][name] for name in SUBGROUP_METRICS}}


def _average_subgroups(names, split, results) -> dict[str, Mapping]:
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
    images = sum(part["n"] for part in parts.values() if part is not None)
    return {"n": images // split.repeats, "metrics": _average_parts(parts, split, positive)}


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
    lacking = {fold: absent - set.intersection(*held.values()) for fold, absent in held.items()}
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
        found[metric] = _average_some(metric, entries, left_out, split)
    return found


def _misses(metric, entry, lacking, positive) -> bool:
    """Tell whether a metric of a part misses classes that it lacks; accuracy never does."""
    return bool(lacking) and metric != "accuracy" and (positive is None or entry["value"] is None)


def _average_some(metric, entries, left_out: Mapping[str, str], split) -> dict:
    """Return the mean over some of the folds, with their names; `left_out` says why others are not used."""
    if not left_out:
        return average(metric, entries, split)
    why, of = _name_folds(left_out), len(entries) + len(left_out)
    if len(entries) < 2:
        reason = f"Two folds of {of} are needed, {len(entries)} can be used. {why}"
        return {"value": None, "low": None, "high": None, "method": None, "reason": reason, "folds": [*entries]}
    found = average(metric, entries, split)
    note = f"Mean of {len(entries)} of {of} folds. {why}"
    return {**found, "note": f"{note} {found['note']}" if "note" in found else note, "folds": [*entries]}


def _say_undivided(trait, names, results) -> str:
    """Say in which folds a trait makes no subgroups; "" where it does in all."""
    return _name_folds(
        {
            fold: result.get("subgroups_left_out", {}).get(trait, "not scored.")
            for fold, result in zip(names, results, strict=True)
            if trait not in result.get("subgroups", {})
        }
    )


def _average_each(names, split, parts: Sequence[Mapping]) -> dict:
    """Return the mean of each metric; `parts` holds those of each fold."""
    return {
        metric: average(metric, dict(zip(names, (part[metric] for part in parts), strict=True)), split)
        for metric in parts[0]
    }


def _describe_baseline(baselines, unit) -> dict:
    """Return what a baseline is in all folds; the most frequent class may be another one in some."""
    answers = Counter(answer for baseline in baselines for answer in baseline.get("answers", ()))
    if not answers:
        return {"description": baselines[0]["description"]}
    ranked = [answer for answer, _ in answers.most_common()]
    return {"description": describe_majority(ranked, unit), "answers": ranked}


def _only_metrics(part) -> dict:
    return {name: entry for name, entry in part.items() if isinstance(entry, Mapping) and "value" in entry}


def _average_samples(mean, results, split) -> dict:
    parts = [result["per_sample"] for result in results]
    n = sum(part["n"] for part in parts) // split.repeats
    return {"n": n, "metrics": mean([part["metrics"] for part in parts])}


def _describe_fold(name, result) -> dict:
    return {
        "fold": name,
        "n": result["n"],
        "metrics": {metric: entry["value"] for metric, entry in result["metrics"].items()},
        **{name: result[name] for name in ("undecided", "validation") if name in result},
        **({"leaked": result["without_leaks"]["leaked"]} if "without_leaks" in result else {}),
    }


def _count_splits(fold) -> dict[str, int]:
    rows = SPLITS_CSV.read(fold)
    return {split: sum(row["split"] == split for row in rows) for split in ("train", "val", "test")}


def _count_groups(fold, result) -> dict[str, int | None]:
    """Return how many groups there are, and the units of the largest where one has several, as `evaluate` does."""
    if result.get("groups") is None:
        return {"groups": None}
    rows = SPLITS_CSV.read(fold)
    paths, groups = ([row[name] for row in rows] for name in ("path", "group"))
    pooling = read_pooling(result)
    named = list_unit_groups(pooling, paths, groups)
    owners = dict(zip(pooling.name(paths, groups), named, strict=True))
    sizes = Counter(owner or unit for unit, owner in owners.items())
    largest = max(sizes.values())
    return {"groups": len(sizes), **({"largest_group": largest} if largest > 1 else {})}


def _write_table(run, split, folds, results, timings, sizes) -> None:
    metrics = list(results[0]["metrics"])
    rows = [
        (
            *(i // split.k + 1, fold.path.name, *size.values()),
            *(result["metrics"][metric]["value"] for metric in metrics),
            timing["training_seconds"],
        )
        for i, (fold, result, timing, size) in enumerate(zip(folds, results, timings, sizes, strict=True))
    ]
    header = ("repeat", "fold", "train", "val", "test", *metrics, "seconds")
    FOLDS_CSV.write(run, [dict(zip(header, row, strict=True)) for row in rows])


def _add_up(folds, timings) -> dict:
    return {
        **{name: round(sum(timing[name] for timing in timings), 3) for name in ("training_seconds", "total_seconds")},
        "peak_memory_mb": max(timing["peak_memory_mb"] for timing in timings),
        "stages": [
            {"name": f"fold {fold.path.name}", "seconds": timing["total_seconds"]}
            for fold, timing in zip(folds, timings, strict=True)
        ],
    }


def _write_predictions(run, folds, table) -> None:
    """Write for each image, or for what it is pooled to, the prediction of the network of the fold that tests it."""
    rows = [
        {**row, "fold": fold.path.name} for fold in folds for row in read_csv(fold / table) if row["split"] == "test"
    ]
    rows.sort(key=lambda row: row["path"])
    write_csv(run / table, rows[0], (row.values() for row in rows))
