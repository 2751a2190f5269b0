"""Refuse runs that cannot be compared, and list what a reader has to know about the others."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tlmed.answer_units import unit_of
from tlmed.comparison.groups import choose_groups, have_same_files, list_parts, note_groups
from tlmed.comparison.results import Result
from tlmed.comparison.rule_notes import note_rules
from tlmed.comparison.traits import say_images
from tlmed.errors import InputError
from tlmed.evaluation.lines import describe_dependence
from tlmed.evaluation.pooled_csv import name_table
from tlmed.identifiers import read_identifiers
from tlmed.metrics import evaluate
from tlmed.metrics.fold_means import mean_of
from tlmed.metrics.label_metrics import evaluate_labels
from tlmed.pages.amounts import number
from tlmed.report.image_counts import is_synthetic
from tlmed.run_files import BASELINE
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import count, join_names, listed, tell_apart

# The AUC depends on every score and accuracy on every predicted class, so that a swap of either table shows.
_SUMS = ("auc", "accuracy")
_FROM_DATA = "a difference in score may come from the data, not from the recipe"


def check_comparable(results: Sequence[Result]) -> None:
    """Refuse runs whose numbers answer different questions.

    Raises:
        InputError: If some are cross-validations and others are not, or if classes, positive class or test images
            (path, label, SHA-256) differ. It names every run that differs from the first, and in what.
    """
    # In this order: images are compared fold by fold, and the agreement below needs the same classes.
    _check_kinds(results)
    _check_classes(results)
    first, *others = results
    rule = "Runs must have the same test images to be compared"
    if first.folds:
        rule = "Cross-validations must have the same folds to be compared"
    if any(_find_split_seed(other) != _find_split_seed(first) for other in others):
        rule += "; a split that tlmed makes depends on `data.split_seed`, or else on the `seed`"
    faults = [f"{rule}. Received: {fault}." for other in others if (fault := _find_difference(first, other))]
    if faults:
        raise InputError(faults)
    _check_units(results)
    for result in results:
        _check_agreement(result)


def _find_split_seed(result):
    own = result.recipe.get("data", {}).get("split_seed")
    return result.recipe.get("seed") if own is None else own


def _check_units(results) -> None:
    """Refuse runs whose answers are for other things: images by themselves, files or groups."""
    first, *others = results
    faults = [
        f"Runs must give answers for the same images, files or groups: train with the same `data.pool_by`, or with "
        f"`data.pool=none`. Received: {other.name} per {unit_of(other.metrics)}, {first.name} per "
        f"{unit_of(first.metrics)}{' of other names' * (unit_of(other.metrics) == unit_of(first.metrics))}."
        for other in others
        if any(
            set(one.units.values()) != set(two.units.values())
            for one, two in zip(first.folds or [first], other.folds or [other], strict=True)
        )
    ]
    if faults:
        raise InputError(faults)


def _check_agreement(result) -> None:
    """Refuse a run whose scores are not those of its predictions: one of the files is another run's, or was edited."""
    if result.folds:
        for fold in result.folds:
            _check_agreement(fold)
        check_means(result.path, result.metrics, {fold.path.name: fold.metrics for fold in result.folds})
        return
    test, metrics = result.test, result.metrics
    tables = (test.labels, test.scores, test.predictions, test.classes, metrics.get("positive"))
    # Only values are compared here, so one draw is enough for the intervals.
    found = evaluate_labels(*tables[:4], only=_SUMS) if test.is_multi else evaluate(*tables, draws=1, only=_SUMS)
    for name, entry in found["metrics"].items():
        there, here = metrics["metrics"][name]["value"], entry["value"]
        if there is not None and here is not None and abs(there - here) > 1e-6:
            there, here = tell_apart(there, here)
            raise InputError(
                f"The metrics in a run's `metrics.json` must be those of its `{name_table(metrics)}`. "
                f"Received: {result.path}: {name} {there} in the one, {here} from the other."
            )


def check_means(place: Path, metrics: Mapping, folds: Mapping[str, Mapping]) -> None:
    """Refuse a cross-validation whose metrics are not the means of those of its folds.

    Args:
        place: Its directory, for the error.
        metrics: Its `metrics.json`.
        folds: That of each fold, by its name.
    """
    _compare_means(place, metrics["metrics"], {name: fold["metrics"] for name, fold in folds.items()})
    if left := metrics.get("without_leaks"):
        # A fold without known images counts with all of its images, as in `run.averages`.
        known = {name: (fold.get("without_leaks") or fold)["metrics"] for name, fold in folds.items()}
        _compare_means(place, left["metrics"], known)


def _compare_means(place, means, folds) -> None:
    for name, entry in means.items():
        used = entry.get("folds", folds)
        values = [fold.get(name, {}).get("value") for title, fold in folds.items() if title in used]
        if len(values) < 2:  # too few folds have its classes
            values = [None]
        mean = None if None in values else mean_of(name, values)
        pair = (entry["value"], mean)
        if (entry["value"] is None) != (mean is None) or (mean is not None and abs(entry["value"] - mean) > 1e-6):
            shown = [number(entry["value"]), number(mean)] if None in pair else tell_apart(*pair)
            raise InputError(
                f"`metrics.json` of a cross-validation must hold the means of its folds. Received: {place}: "
                f"{name} {shown[0]} there, {shown[1]} by the folds."
            )


def _check_kinds(results) -> None:
    folded = [result.name for result in results if result.folds]
    if folded and len(folded) < len(results):
        single = [result.name for result in results if not result.folds]
        raise InputError(
            "Runs must all be of one network, or all be cross-validations, to be compared. Received: "
            f"{', '.join(single)} of one network, the cross-validation{'s' * (len(folded) > 1)} {', '.join(folded)}."
        )


def _check_classes(results) -> None:
    tasks = {read_task(result.metrics) for result in results}
    if MULTI_LABEL in tasks and len(tasks) > 1:
        said = join_names(f"{result.name} {read_task(result.metrics)}" for result in results)
        raise InputError(f"Runs must all be of several labels, or none, to be compared. Received: {said}.")
    asked = {(tuple(result.metrics["classes"]), result.metrics.get("positive")) for result in results}
    if len(asked) > 1:
        said = "; ".join(f"{result.name}: {_name_classes(result.metrics)}" for result in results)
        which = "" if tasks == {MULTI_LABEL} else ", and the same positive one,"
        raise InputError(f"Runs must have the same classes{which} to be compared. Received: {said}.")


def _name_classes(metrics) -> str:
    positive = metrics.get("positive")
    return ", ".join(f"{name} (positive)" if name == positive else name for name in metrics["classes"])


def _find_difference(first: Result, other: Result) -> str:
    """Say how the test images of two runs, or of their folds, differ; nothing where they are the same."""
    if len(first.folds) != len(other.folds):
        return f"{first.name} with {len(first.folds)} folds, {other.name} with {len(other.folds)}"
    for one, two in zip(first.folds or [first], other.folds or [other], strict=True):
        if have_same_files(one, two):
            continue
        if found := "; ".join(_describe_images(one.of("test"), two.of("test"))):
            where = f" in fold {two.name}" if other.folds else ""
            return f"{other.name} against {first.name}{where}: {found}"
    return ""


def _describe_images(ours, theirs) -> Iterator[str]:
    both = sorted(set(ours) & set(theirs))
    kinds = {
        "missing": sorted(set(ours) - set(theirs)),
        "added": sorted(set(theirs) - set(ours)),
        "with another label": [path for path in both if ours[path]["label"] != theirs[path]["label"]],
        "with another content": [path for path in both if ours[path]["sha256"] != theirs[path]["sha256"]],
    }
    for words, paths in kinds.items():
        if paths:
            yield f"{count(len(paths), 'test image')} {words} ({listed(paths, 3)})"


def find_notes(results: Sequence[Result]) -> tuple[str, ...]:
    """Return what a reader of a comparison has to know, each in one or two sentences of plain text."""
    singles = [part for result in results for part in (result.folds or [result])]
    notes = [
        "The images are synthetic: drawn by a program (tlmed_phantoms). The scores say nothing about medicine."
        if any(map(is_synthetic, results))
        else "",
        *_note_same(results),
        _note_samples(results),
        _note_training(results),
        *note_groups(results),
        *describe_dependence(choose_groups(results).metrics),
        *(_note_leak(result) for result in results),
        *(_note_weights(result) for result in results),
        *note_rules(results),
        _note_pooling(results),
        _note_stored(results),
        _note_machines(singles),
        *(said for part in singles for said in part.unchecked),
    ]
    return tuple(note for note in notes if note)


def _note_same(results) -> list[str]:
    """Name runs with the same predictions throughout: a copy, or a recipe that was repeated to the bit."""
    alike = {}
    for result in results:
        key = tuple(_list_predictions(part.test) for part in (result.folds or [result]))
        alike.setdefault(key, []).append(result.name)
    return [
        f"{join_names(names)} have the same scores and predictions for every test {unit_of(results[0].metrics)}, so no "
        "difference between them can be measured here."
        for names in alike.values()
        if len(names) > 1
    ]


def _list_predictions(test) -> tuple[bytes, bytes]:
    """Return scores and predicted classes in the order of paths, as a key."""
    order = sorted(range(len(test.paths)), key=test.paths.__getitem__)
    return test.scores[order].tobytes(), test.predictions[order].tobytes()


def _note_training(results) -> str:
    """Say where training or validation images differ; runs of other amounts of data are compared as whole recipes."""
    mean = "; means over the folds" if results[0].folds else ""
    if _differ(results, "train", "sha256"):
        sizes = ", ".join(f"{result.name} {say_images(result.costs['train_images'])}" for result in results)
        return f"The training images differ ({sizes}{mean}): {_FROM_DATA}."
    if _differ(results, "train", "label"):
        return f"Training images are of another class in some runs ({_count_relabelled(results)}): {_FROM_DATA}."
    if _differ(results, "val", "sha256", "label"):
        sizes = ", ".join(f"{result.name} {say_images(_count(result, 'val'))}" for result in results)
        which = "which choose epochs and thresholds"
        return f"The validation images or their classes differ ({sizes}{mean}), {which}: {_FROM_DATA}."
    return ""


def _differ(results, split, *columns) -> bool:
    """Tell whether runs have other images in a split, by path and some columns; folds are compared one by one."""
    sets = [
        [
            {(path, *(row[name] for name in columns)) for path, row in part.of(split).items()}
            for part in list_parts(result)
        ]
        for result in results
    ]
    return any(found != sets[0] for found in sets)


def _count_relabelled(results) -> str:
    """Say of how many training images each run has another class than the first run."""
    first, *others = ([part.of("train") for part in list_parts(result)] for result in results)
    changed = [
        {
            path
            for one, two in zip(first, parts, strict=True)
            for path in one
            if one[path]["label"] != two[path]["label"]
        }
        for parts in others
    ]
    return ", ".join(
        f"{len(paths):,} of {result.name} against {results[0].name}"
        for result, paths in zip(results[1:], changed, strict=True)
        if paths
    )


def _count(result, split) -> float:
    return sum(len(part.of(split)) for part in list_parts(result)) / len(list_parts(result))


def _note_leak(result) -> str:
    """Name test images that a run was also trained on under another path; splits given with the data may hold such."""
    parts = result.folds or [result]
    seen = [{row["sha256"] for row in part.of("train").values()} for part in parts]
    found = [
        path
        for part, known in zip(parts, seen, strict=True)
        for path, row in part.of("test").items()
        if row["sha256"] in known
    ]
    if not found:
        return ""
    images = count(len(found), "test image")
    unit = read_identifiers(result.environment.get("data", {})).unit
    return f"{result.name}: {images} also among its training images, {unit} for {unit} ({listed(sorted(found), 3)})."


def _note_weights(result) -> str:
    if not result.weights.startswith("run:"):
        return ""
    return (
        f"{result.name} started from the weights of another run. Test images that the other run knows are counted only "
        f"if its splits.csv could be read when {result.name} was scored."
    )


def _note_pooling(results) -> str:
    """Say so where runs pool scores in different ways."""
    ways = {result.name: (result.folds or [result])[0].metrics.get("pool") for result in results}
    if len(set(ways.values())) == 1:
        return ""
    named = join_names(f"{name} {how or 'none'}" for name, how in ways.items())
    return f"Runs pool the scores of a {unit_of(results[0].metrics)} in different ways: {named}."


def _note_samples(results) -> str:
    """Say so where runs cut the same test files into other images."""
    first, *others = ([part.of("test").keys() for part in list_parts(result)] for result in results)
    if all(other == first for other in others):
        return ""
    amounts = join_names(f"{result.name} {say_images(_count(result, 'test'))}" for result in results)
    mean = ", means over the folds" if results[0].folds else ""
    unit = unit_of(results[0].metrics)
    return (
        f"The runs cut the same files into other test images ({amounts}{mean}): their answers per {unit} are compared."
    )


def _note_stored(results) -> str:
    """Name runs that took less time because they found features that an earlier run had computed."""
    found = [
        result.name
        for result in results
        for part in (result.folds[:1] or [result])  # later folds find what the first one computed
        if any(
            (entry.get("computed") or 0) < (entry.get("images") or 0)
            for entry in part.timing.get("extractions", [])
            # Features of a baseline are computed after training, unless a phase has that name.
            if entry.get("name") != BASELINE or BASELINE in {phase.get("name") for phase in part.plan.get("phases", [])}
        )
    ]
    if not found:
        return ""
    return (
        f"Training took less time than it takes alone, because features were in the store already: {', '.join(found)}."
    )


def _note_machines(results) -> str:
    """Say so where runs were made on different machines, if all of them recorded their machine."""
    # Runs of older versions did not record all of these.
    for key in ("processor", "cpus", "devices", "gpus"):
        said = [json.dumps(result.environment[key]) for result in results if key in result.environment]
        if len(said) == len(results) and len(set(said)) > 1:
            return "The runs were made on different machines: seconds and speed do not compare the networks alone."
    return ""
