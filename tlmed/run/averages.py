"""The result of a cross-validation: a table of its folds, and the mean of each metric with its interval."""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlmed.answer_units import describe_majority, describe_shares, name_rows, unit_of
from tlmed.evaluation.measures import note_mix
from tlmed.evaluation.pooled_csv import list_tables
from tlmed.evaluation.pooling import list_unit_groups, read_pooling
from tlmed.intact import check_intact
from tlmed.metrics.expected_costs import COST_METRICS
from tlmed.metrics.packed_confusion import pack_confusion, unpack_confusion
from tlmed.run.label_averages import average_label
from tlmed.run.metric_averages import average
from tlmed.run.part_averages import average_subgroups, average_without_leaks
from tlmed.run_files import FOLDS_CSV, METRICS_JSON, SPLITS_CSV, TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.sections import KFold
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.whole_files import read_csv, write_csv


@dataclass(frozen=True)
class _Division:
    """How the images of a cross-validation were divided.

    Attributes:
        k: Folds of each repeat.
        repeats: Of them.
        test_share: Test images of a fold divided by those that trained its weights.
    """

    k: int
    repeats: int
    test_share: float


def write_averages(run: RunDir, split: KFold, folds: Sequence[RunDir], train_share: float = 1.0) -> dict:
    """Write `folds.csv`, `metrics.json`, `timing.json` and, where each image was tested once, predictions.

    Args:
        run: The directory above the folds.
        split: How the images were divided.
        folds: The folds' runs, complete, in order.
        train_share: The share of the training images on which weights were trained.

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
    division = _Division(split.k, split.repeats, split.test_share / train_share)
    content = _average_all(division, folds, results)
    METRICS_JSON.write(run, content)
    TIMING_JSON.write(run, _add_up(folds, timings))
    if split.repeats == 1:
        for table in list_tables(content):
            _write_predictions(run, folds, table)
    return content


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
        **{name: first[name] for name in ("positive_asked", "task", "primary") if name in first},
        **_count_groups(folds[0], first),
        "metrics": mean([result["metrics"] for result in results]),
        "per_class": {
            label: _average_class(names, split, [result["per_class"][label] for result in results])
            for label in first["classes"]
        },
        "folds": [_describe_fold(*each) for each in zip(names, results, strict=True)],
    }
    describe = describe_shares if read_task(first) == MULTI_LABEL else describe_majority
    content["baselines"] = {
        name: {
            **_describe_baseline([result["baselines"][name] for result in results], unit_of(first), describe),
            **mean([_only_metrics(result["baselines"][name]) for result in results]),
        }
        for name in first["baselines"]
    }
    # Each fold chose its own threshold and temperature. Their mean would belong to no network, so it is not given.
    content["calibration"] = {
        "method": first["calibration"]["method"],
        "metrics": mean([result["calibration"]["metrics"] for result in results]),
    }
    if "confusion" in first:  # labels mean the same in every fold, unlike scores, so that these can be added up
        content["confusion"] = pack_confusion(sum(map(unpack_confusion, results)), first["classes"])
    if "operating_point" in first:
        at_half = mean([result["operating_point"]["at_half"] for result in results])
        point = first["operating_point"]
        kept = {name: point[name] for name in ("rule", "prevalence") if name in point}
        content["operating_point"] = {**kept, "at_half": at_half}
        if "prevalence" in kept and content["metrics"].keys() >= {*COST_METRICS}:
            note_mix(content)
    if "cuts" in first:
        cuts = {name: [result["cuts"][name] for result in results] for name in first["cuts"]}
        content["cuts"] = {
            name: {"n": sum(part["n"] for part in parts) // split.repeats, **mean(list(map(_only_metrics, parts)))}
            for name, parts in cuts.items()
        }
    if "costs" in first:
        content["costs"] = first["costs"]
    if "decision" in first:
        content["decision"] = _average_decision(mean, [result["decision"] for result in results])
    if "at_prevalence" in first:
        values = mean([_only_metrics(result["at_prevalence"]) for result in results])
        content["at_prevalence"] = {"prevalence": first["at_prevalence"]["prevalence"], **values}
    for name in ("undecided", "copies"):  # each repeat tests every image once, and copies are in the same fold
        if found := sum(result.get(name, 0) for result in results):
            content[name] = found // split.repeats
    content |= _add_up_units(results, split)
    content |= average_without_leaks(names, split, results) | average_subgroups(names, split, results)
    if "pool" not in first:
        return content
    # What `average` says of images holds for units here, and for images in `per_sample` alone.
    samples = {"pool": first["pool"], "per_sample": _average_samples(mean, results, split)}
    return name_rows(content, unit_of(first)) | samples


def _average_each(names, split, parts: Sequence[Mapping]) -> dict:
    """Return the mean of each metric; `parts` holds those of each fold."""
    return {
        metric: average(metric, dict(zip(names, (part[metric] for part in parts), strict=True)), split)
        for metric in _list_common(parts)
    }


def _list_common(parts: Sequence[Mapping]) -> list[str]:
    """Return the metrics that all folds have: one that was trained by an older version has fewer."""
    return [metric for metric in parts[0] if all(metric in part for part in parts)]


def _average_class(names, split, parts: Sequence[Mapping]) -> dict:
    """Return the means of a class; where an image may have several labels, those of a label."""
    if "positives" in parts[0]:
        return average_label(names, split, parts)
    # Every repeat tests all images once, so that the sum counts each of them `repeats` times.
    n = sum(part["n"] for part in parts) // split.repeats
    return {"n": n, **_average_each(names, split, [_only_metrics(part) for part in parts])}


def _describe_baseline(baselines, unit, describe=describe_majority) -> dict:
    """Return what a baseline is in all folds; the most frequent class may be another one in some."""
    answers = Counter(answer for baseline in baselines for answer in baseline.get("answers", ()))
    if not answers:
        return {"description": baselines[0]["description"]}
    ranked = [answer for answer, _ in answers.most_common()]
    return {"description": describe(ranked, unit), "answers": ranked}


def _only_metrics(part) -> dict:
    return {name: entry for name, entry in part.items() if isinstance(entry, Mapping) and "value" in entry}


def _average_decision(mean, decisions) -> dict:
    """Return the rule of all folds, without the shares of the classes, which are each fold's own."""
    first = {name: part for name, part in decisions[0].items() if name not in ("priors", "by_score")}
    if "by_score" not in decisions[0]:
        return first
    return {**first, "by_score": mean([decision["by_score"] for decision in decisions])}


def _average_samples(mean, results, split) -> dict:
    parts = [result["per_sample"] for result in results]
    n = sum(part["n"] for part in parts) // split.repeats
    return {"n": n, "metrics": mean([part["metrics"] for part in parts])}


def _add_up_units(results, split) -> dict[str, dict[str, int]]:
    """Return how many files or groups lack images that cannot be read; nothing where none does.

    All folds read the same source, and each repeat tests every unit once.
    """
    found = [result["units"] for result in results if "units" in result]
    if not found:
        return {}
    scored = sum(result["units"]["scored"] if "units" in result else result["n"] for result in results)
    fewer = sum(units["on_fewer_images"] for units in found)
    counts = {"scored": scored // split.repeats, "on_fewer_images": fewer // split.repeats}
    return {"units": {"listed": found[0]["listed"], "read": found[0]["read"], **counts}}


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
    metrics = _list_common([result["metrics"] for result in results])
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
