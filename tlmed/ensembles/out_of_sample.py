"""The test images of several runs, each scored by those of them that have not seen it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed.answer_units import GROUP
from tlmed.backbones.recollection import find_earlier
from tlmed.errors import InputError
from tlmed.evaluation.decisions import Decision, apply_decision
from tlmed.evaluation.ensemble_lines import TRAIT
from tlmed.evaluation.pooling import Pooled, number_units
from tlmed.evaluation.predictions import Predictions
from tlmed.inference.member_scores import MemberScores
from tlmed.inference.seen_images import list_leaked, list_undecided
from tlmed.inference.trained_runs import Trained
from tlmed.split_names import LEARNED
from tlmed.words import count, join_names


class NothingLeft(InputError):
    """No test image is left to score: each is known to all members."""


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Unseen:
    """Which test images each of m runs may be asked about.

    Attributes:
        by: Whether the run tests the image and has seen neither it, nor a copy, nor its patient, bool [m, n].
        undecided: Where this cannot be told, or not of its patient, because of what gave the weights, bool [m, n].
        unsure: Why it is not certain which images those runs know, a sentence each.
    """

    by: np.ndarray
    undecided: np.ndarray
    unsure: list[str]


def find_unseen(members: Sequence[Trained], table: MemberScores) -> Unseen:
    """Return which images each run may be asked about.

    Units stay whole: a run that has seen a sample of a file or patient is asked about none of them.

    Args:
        members: The runs. The table may go on with folds, as `add_folds` gives it: they have seen a part of what these
            runs have, and are asked about the images that all of these are asked about.
        table: The images of all.
    """
    places = {path: place for place, path in enumerate(table.paths)}
    knows, undecided, unsure = np.isin(table.splits, LEARNED), np.zeros(table.splits.shape, bool), []
    units = number_units(table.pooling.name(table.paths, table.groups))[1]
    for number, member in enumerate(members):
        earlier = find_earlier(member.run)
        unsure += earlier.unsure
        knows[number, [places[path] for path in list_leaked(member.run, earlier.elsewhere)]] = True
        undecided[number, [places[path] for path in list_undecided(member.run, earlier)]] = True
        knows[number] = (np.bincount(units, weights=knows[number]) > 0)[units]
    by = (table.splits == "test") & ~knows
    by[len(members) :] &= by[: len(members)].all(axis=0)
    undecided[len(members) :] = undecided[: len(members)].any(axis=0)
    return Unseen(by, undecided & by, list(dict.fromkeys(unsure)))


def describe_nothing_left(table: MemberScores, members: Sequence[Trained]) -> NothingLeft:
    """Return the error for runs of which no test image is left to score."""
    names, unit = join_names([str(member.run.path) for member in members]), table.pooling.unit
    it = "neither it, nor a copy of one of its images," if unit == GROUP else "neither it, nor a copy, nor its patient"
    return NothingLeft(
        f"One test {unit} or more must be unknown to one of the members: {it} may be in that member's training or "
        f"validation. Received: {names}, which know all {count(count_tested(table), f'test {unit}')}."
    )


def count_tested(table: MemberScores) -> int:
    """Return how many units some member tests: images, or the files or groups that they make up."""
    rows = np.flatnonzero((table.splits == "test").any(axis=0)).tolist()
    owners = None if table.groups is None else [table.groups[row] for row in rows]
    return len(set(table.pooling.name([table.paths[row] for row in rows], owners)))


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Answers:
    """The predictions of test images, each by the members that may be asked about it.

    Attributes:
        pooled: The predictions of samples and of units.
        rows: Which of the n images they are of, int [r].
        amounts: How many members scored each of these, int [r].
    """

    pooled: Pooled
    rows: np.ndarray
    amounts: np.ndarray


def answer(
    table: MemberScores, by: np.ndarray, weights: np.ndarray, decision: Decision, names: Sequence[str]
) -> Answers:
    """Return predictions of all images that some member may be asked about.

    Images are predicted by the threshold, and calibrated at the temperature, that the validation images of those
    members chose that scored them: the validation images of others may be among them.

    Args:
        table: The images and the scores of m members.
        by: Which members are asked about which image, bool [m, n].
        weights: The members' shares, float [m].
        decision: What all members decide together.
        names: What the members are called, m texts.
    """
    by = by & (weights > 0)[:, None]
    rows = np.flatnonzero(by.any(axis=0))
    pooled = table.pool(rows, table.average(by, weights)[rows], "test")
    sets, places = np.unique(by[:, rows], axis=1, return_inverse=True)
    places = places.reshape(-1)
    whole = weights > 0
    decisions = [decision if (asked == whole).all() else table.decide(asked, weights) for asked in sets.T]
    first = np.unique(pooled.members, return_index=True)[1]
    units = _decide_each(pooled.units, decisions, places[first], table.positive)
    samples = units if not pooled.are_pooled else _decide_each(pooled.samples, decisions, places, table.positive)
    if len(decisions) > 1:
        called = [" + ".join(name for name, asked in zip(names, one, strict=True) if asked) for one in sets.T]
        units = replace(units, traits={TRAIT: tuple(called[place] for place in places[first])})
    samples = replace(samples, calibrated=None) if pooled.are_pooled else units
    pooled = replace(pooled, units=units, samples=samples)
    return Answers(pooled, rows, by[:, rows].sum(axis=0))


def _decide_each(predictions: Predictions, decisions, places, positive) -> Predictions:
    """Return predictions by several decisions: `places` says which of them decides each row, int [r]."""
    parts = [np.flatnonzero(places == place) for place in range(len(decisions))]
    made = [
        apply_decision(predictions.take(rows), decision, positive)
        for rows, decision in zip(parts, decisions, strict=True)
    ]
    order = np.argsort(np.concatenate(parts))
    join = {
        name: np.concatenate([getattr(part, name) for part in made])[order]
        for name in ("scores", "predictions", "calibrated")
    }
    return replace(predictions, **join, by_scores=made[0].by_scores)


def count_members(amounts: np.ndarray) -> dict[str, int]:
    """Return how many images were scored by how many members, from the most on.

    >>> count_members(np.array([1, 2, 2]))
    {'2': 2, '1': 1}
    """
    return {str(number): amount for number, amount in sorted(Counter(amounts.tolist()).items(), reverse=True)}
