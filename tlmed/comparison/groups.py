"""One set of groups for all runs of a comparison: intervals and leaks follow it, whatever groups each run used."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tlmed.columns import spell
from tlmed.comparison.results import Result
from tlmed.evaluation.answer_rules import read_costs
from tlmed.evaluation.measures import Scoring, list_part_metrics, measure, score
from tlmed.evaluation.pooling import list_unit_groups, read_pooling
from tlmed.part_names import file_of, split_part
from tlmed.pseudonyms import is_file_group
from tlmed.split_names import LEARNED
from tlmed.words import count, join_names

_COUNTED = ("metrics", "per_class", "groups", "largest_group")  # parts of `metrics.json` that depend on groups


def choose_groups(results: Sequence[Result]) -> Result:
    """Return the first run with groups that are more than files, or else the first with any, or the first of all."""
    ranks = [max(map(_rank_groups, list_parts(result))) for result in results]
    return results[ranks.index(max(ranks))]


def _rank_groups(result) -> int:
    """Return 2 where images have groups such as patients, 1 where only those of one file have one, and else 0."""
    groups = [group for row in result.splits.values() if (group := row.get("group"))]
    return 2 if not all(map(is_file_group, groups)) else int(bool(groups))


def list_parts(result) -> Sequence[Result]:
    """Return a run itself, or the folds of a cross-validation."""
    return result.folds or (result,)


def have_same_files(first: Result, other: Result) -> bool:
    """Tell whether two runs of one network each give pooled answers of the same files, under the same names and labels.

    Their samples may differ: other planes or tiles of these files.
    """
    is_pooled = all(read_pooling(result.metrics).how for result in (first, other))
    return is_pooled and _list_files(first) == _list_files(other)


def _list_files(result) -> dict[str, set[tuple[str, str]]]:
    """Return for each unit of the test images the label and the content of its files."""
    found = {}
    for path, row in result.of("test").items():
        found.setdefault(result.units[path], set()).add((row["label"], file_of(row["sha256"])))
    return found


def use_groups(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return the runs with intervals, and leaks, by one set of groups: those of the run that `choose_groups` names.

    Only runs that name other groups are computed again. The means of a cross-validation stay by its own groups;
    those of its folds do not.
    """
    chosen = choose_groups(results)
    return tuple(_use_groups_of(chosen, result) for result in results)


def _use_groups_of(chosen, result) -> Result:
    if not names_others(chosen, result):
        return result
    if result.folds:
        folds = map(_regroup, chosen.folds, result.folds)
        means = {name: part for name, part in result.metrics.items() if name != "without_leaks"}  # of its own groups
        return dataclasses.replace(result, folds=tuple(folds), metrics=means)
    return _regroup(chosen, result)


def names_others(chosen: Result, result: Result) -> bool:
    """Tell whether a run divides the same test images into other groups than the run whose groups are used."""
    ours, theirs = map(_number_groups, (chosen, result))
    return ours != theirs


def _number_groups(result) -> list[tuple[str, int | None]]:
    """Return each test image, fold by fold, and its group as a number, because names alone decide nothing."""
    numbers = {}
    rows = [pair for part in list_parts(result) for pair in sorted(list_owners(part).items())]
    return [(path, numbers.setdefault(group, len(numbers)) if group else None) for path, group in rows]


def list_owners(result: Result) -> dict[str, str]:
    """Return each test image of one network's run, or what it is pooled to, and its group; "" where it stands alone."""
    groups, pooling = _list_groups(result.of("test")), read_pooling(result.metrics)
    named = list_unit_groups(pooling, list(groups), list(groups.values()))
    return dict(zip((result.units[path] for path in groups), named or [""] * len(groups), strict=True))


def _list_groups(rows) -> dict[str, str]:
    return {path: row.get("group") or "" for path, row in rows.items()}


def _regroup(chosen, result) -> Result:
    """Return one network's run with its metrics computed by the groups of another run."""
    owners, metrics = list_owners(chosen), result.metrics
    # Without calibrated scores: what is computed from them is not in `_COUNTED`.
    test = dataclasses.replace(result.test, groups=tuple(owners[path] for path in result.test.paths), calibrated=None)
    leaked = find_leaked(result, _list_groups(chosen.splits))
    scored = score(test, _ask(result), leaked)
    kept = {name: part for name, part in metrics.items() if name not in (*_COUNTED, "without_leaks")}
    found = kept | {name: scored[name] for name in _COUNTED if name in scored}
    if leaked:
        found["without_leaks"] = scored["without_leaks"]
    return dataclasses.replace(result, metrics=found)


def find_leaked(result: Result, groups: Mapping[str, str]) -> set[str]:
    """Return the test images, or what they are pooled to, that are in training or validation too: content or group.

    Test images that the run recorded as known to the runs which gave its weights, and others of their groups, count
    too; runs of older versions recorded only how many these are.

    Args:
        result: The run of one network.
        groups: Path of an image to its group, "" for none. An image that is not there has the group of others of its
            file; if there are none, it stands alone.
    """
    files = {split_part(path)[0]: group for path, group in groups.items()}

    def find_owner(path):
        return spell(groups.get(path, files.get(split_part(path)[0], "")))

    # The same as `tlmed.data.splits.find_leaked`, which is not used because its package imports TensorFlow.
    known = set()
    by_weights = set(result.environment.get("earlier", {}).get("known", ()))
    owners = {find_owner(path) for path in by_weights}
    for path, row in result.splits.items():
        if row["split"] in LEARNED:
            known.add(row["sha256"])
            owners.add(find_owner(path))
    return {
        result.units[path]
        for path, row in result.of("test").items()
        if path in by_weights or row["sha256"] in known or (find_owner(path) and find_owner(path) in owners)
    }


def find_known(result: Result) -> set[str]:
    """Return what `find_leaked` does, by the run's own groups."""
    return find_leaked(result, _list_groups(result.splits))


def list_known(results: Sequence[Result]) -> list[set[str] | None]:
    """Return the test images, or what they are pooled to, that each run knows.

    None for a run of an older version that knows others through the weights it began with: it recorded only how many
    test images it knows in all.

    Args:
        results: Runs of one network each.
    """
    chosen = choose_groups(results)
    # A run that was not computed again knows by its own groups: it may have images that the chosen run does not have.
    own = [chosen if names_others(chosen, result) else result for result in results]
    pairs = zip(results, own, strict=True)
    found = [find_leaked(result, _list_groups(whose.splits)) for result, whose in pairs]
    recorded = [(result.without_leaks or {}).get("leaked", 0) for result in results]
    return [paths if len(paths) == number else None for paths, number in zip(found, recorded, strict=True)]


def measure_without(results: Sequence[Result], known: Collection[str]) -> list[Mapping[str, Mapping]]:
    """Return each run's main metrics on the test images that are not among `known`, of which there is one or more."""
    owners, found = list_owners(choose_groups(results)), []
    for result in results:
        test = dataclasses.replace(result.test, groups=tuple(owners.get(path, "") for path in result.test.paths))
        rows = np.flatnonzero([path not in known for path in test.paths])
        found.append(measure(test.take(rows), _ask(result), list_part_metrics(test.task))["metrics"])
    return found


def _ask(result) -> Scoring:
    metrics = result.metrics
    costs = read_costs(metrics["costs"], metrics["classes"]) if "costs" in metrics else None
    return Scoring("test", metrics.get("positive"), result.recipe.get("seed", 0), costs=costs)


def note_groups(results: Sequence[Result]) -> list[str]:
    """Say whose groups are used where runs name different ones, and what that changes."""
    chosen = choose_groups(results)
    others = [result for result in results if names_others(chosen, result)]
    if not others:
        return []
    names = join_names([result.name for result in others])
    folds = " This holds in every fold; the intervals of the means still follow the run's own groups."
    reports = "its own report" if len(others) == 1 else "their own reports"
    notes = [
        f"The runs do not name the same groups for the same images; those of {chosen.name} are used. So intervals and "
        f"known test images of {names} may differ from those in {reports}.{folds if others[0].folds else ''}"
    ]
    for result in others:
        pairs = zip(list_parts(chosen), list_parts(result), strict=True)
        unknown = sum(_count_unknown(ours.splits, theirs.splits) for ours, theirs in pairs)
        if unknown:
            notes.append(
                f"The groups of {count(unknown, 'image')} of {result.name} are not known, because {chosen.name} does "
                "not have these images: test images of the same groups are not counted as known."
            )
        if any(_knows_more(part) for part in list_parts(result)):
            notes.append(
                f"{result.name} also knows test images through the weights that it started from. Its own report counts "
                "them; here that is not possible, because the groups are those of another run."
            )
    return notes


def _count_unknown(ours, theirs) -> int:
    """Return how many images of one run are of files of which another run has none."""
    files = {split_part(path)[0] for path in ours}
    return sum(split_part(path)[0] not in files for path in theirs)


def _knows_more(result) -> bool:
    """Tell whether a run recorded more leaked test images than its own splits show."""
    recorded = (result.metrics.get("without_leaks") or {}).get("leaked", 0)
    return recorded > len(find_known(result))
