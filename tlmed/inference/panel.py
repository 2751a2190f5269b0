"""What answers when a command is given RUN: one network, or several whose answers are averaged. None is loaded here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tlmed.errors import InputError
from tlmed.evaluation.decisions import Decision, read_decision
from tlmed.evaluation.pooled_csv import list_tables
from tlmed.evaluation.pooling import Pooling, read_pooling
from tlmed.inference.member_scores import find_differences, read_member_scores
from tlmed.inference.trained_runs import Trained, read_trained
from tlmed.intact import check_intact
from tlmed.members import Member, list_members, shorten
from tlmed.recipe import Recipe
from tlmed.run_files import METRICS_JSON, SPLITS_CSV
from tlmed.run_files.check_summary import read_summary, say_errors, say_members, say_warnings
from tlmed.rundir import NOVELTY, RunDir
from tlmed.split_names import PLACES
from tlmed.tasks import MULTI_LABEL
from tlmed.words import join_names, listed

_NAMED = 3  # members that a sentence names; it counts the others


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Panel:
    """One run, or several that answer one question together: the weighted mean of their probabilities.

    Attributes:
        run: What a user named: a run, a cross-validation or an ensemble.
        members: The runs that answer, as far as reading and scoring images needs them.
        weights: Their shares of the answer, float [m], which sum to 1.
        metrics: What they are asked and how they decide, as `metrics.json` of a run says it.
        decision: The threshold and the temperature.
    """

    run: RunDir
    members: tuple[Trained, ...]
    weights: np.ndarray
    metrics: Mapping
    decision: Decision

    @property
    def first(self) -> Trained:
        """Return the first member, whose recipe says how a source is read, and by which rule a class is predicted."""
        return self.members[0]

    @property
    def recipe(self) -> Recipe:
        """Return the recipe of the first member."""
        return self.first.recipe

    @property
    def is_single(self) -> bool:
        """Tell whether one network answers alone."""
        return len(self.members) == 1

    @property
    def name(self) -> str:
        """Return what a sentence calls the one of the networks that it may be about."""
        return "the run" if self.is_single else "one of the members"

    @property
    def pooling(self) -> Pooling:
        """Return how samples become units."""
        return read_pooling(self.metrics)

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """Return the members' `splits.csv` as one: an image counts as trained on if one of them was trained on it.

        Where none was, it counts as a validation image if one was validated on it.
        """
        first, *others = (SPLITS_CSV.read(member.run) for member in self.members)
        used = {row["path"]: {row["split"]} for row in first}
        for row in (row for rows in others for row in rows):
            used[row["path"]].add(row["split"])
        return [{**row, "split": next(name for name in PLACES if name in used[row["path"]])} for row in first]

    def check_intact(self, *names: str) -> list[str]:
        """Refuse members with a file that differs from their lock; return why this cannot be told of some.

        Args:
            names: Files that a command reads, besides those that give scores.
        """
        said = []
        for member in self.members:
            metrics = METRICS_JSON.read(member.run)
            tables = list_tables(metrics) if "splits.csv" in names else []
            novelty = [NOVELTY] if (member.run / NOVELTY).exists() else []
            said += check_intact(member.run, name_files(metrics, *names, *tables, *novelty))
        return list(dict.fromkeys(said))

    @property
    def runs(self) -> list[RunDir]:
        """The runs of the members."""
        return [member.run for member in self.members]

    def count_training(self) -> list[int]:
        """Return how many training images of each class the members had, those of all added up."""
        counts = Counter(
            row["label"] for member in self.members for row in SPLITS_CSV.read(member.run) if row["split"] == "train"
        )
        return [counts[name] for name in self.first.classes]

    def refuse_several(self, what: str) -> None:
        """Refuse several networks where a command needs one.

        Args:
            what: What needs it, the beginning of the sentence.

        Raises:
            InputError: With the directories of the members.
        """
        if not self.is_single:
            names = listed((str(member.run.path) for member in self.members), _NAMED)
            raise InputError(
                f"{what} needs one network: give a member ({names}). "
                f"Received: {str(self.run.path)!r} with {len(self.members)} networks."
            )


def open_panel(run: RunDir) -> Panel:
    """Return what answers for a run, a cross-validation or an ensemble.

    The folds of a cross-validation answer in equal shares, and decide as `MemberScores.decide` says.

    Raises:
        InputError: If a file cannot be read, or a member is gone or was changed.
    """
    found = list_members(run)
    members = tuple(read_trained(member.run) for member in found)
    weights = np.array([member.weight for member in found])
    if not run.folds:
        return Panel(run, members, weights, METRICS_JSON.read(run), read_decision(run))
    check_members(found, members)
    decision = read_member_scores(members).decide(np.ones(len(members), bool), weights)
    return Panel(run, members, weights, _describe_folds(members[0], decision), decision)


def _describe_folds(first, decision) -> dict:
    """Return what the folds are asked together, as the first says it, with their decision and without its scores."""
    asked = ("unit", "task", "primary", "classes", "positive", "positive_asked", "pool")
    metrics = METRICS_JSON.read(first.run)
    found = {name: metrics[name] for name in asked if name in metrics} | {"metrics": {}}
    if first.task == MULTI_LABEL:
        return found | {"per_class": dict(zip(first.classes, (it.record() for it in decision.labels), strict=True))}
    rule = {} if decision.rule is None else {"decision": decision.rule.describe(first.classes)}
    return found | decision.record() | {"threshold": decision.threshold} | rule


def check_members(found: Sequence[Member], members: Sequence[Trained]) -> None:
    """Refuse runs that cannot answer one question together.

    Args:
        found: The runs, two or more.
        members: The same, as they were read.

    Raises:
        InputError: With the runs that differ from the first, and in what.
    """
    unlike = [
        f"{member.run.path} differs from {found[0].run.path} in its {join_names(differ)}"
        for member, trained in zip(found[1:], members[1:], strict=True)
        if (differ := find_differences(members[0], trained))
    ]
    if unlike:
        more = [f"and {len(unlike) - _NAMED:,} more"] if len(unlike) > _NAMED else []
        raise InputError(
            "Runs that answer together must have the same classes, task, positive class, unit and images. "
            f"Received: {'; '.join([*unlike[:_NAMED], *more])}."
        )


def describe_check(panel: Panel) -> list[str]:
    """Say which errors and warnings the check of the data found, in any fold or member."""
    if panel.run.is_ensemble:
        names = shorten([run.path.resolve() for run in panel.runs])
        checks = list(map(read_summary, panel.runs))
        return [*say_members(names, checks), *say_members(names, checks, say_warnings)]
    found = read_summary(panel.run)
    return [*say_errors(found), *say_warnings(found)]


def describe_panel(panel: Panel) -> list[str]:
    """Say which networks answer together, and how; nothing of one that answers alone."""
    if panel.is_single:
        return []
    shares = panel.weights[panel.weights > 0]
    equal = np.allclose(shares, shares[0])
    how = "mean" if equal and len(shares) == len(panel.members) else "weighted mean"
    if len(shares) == 1:
        return [f"{_name(panel)} answers alone: the other members have a weight of 0."]
    said = f"{len(shares)} networks answer together, by the {how} of their probabilities: {_name(panel)}."
    if not panel.run.folds:
        return [said]
    chosen = "Their threshold and temperature are" if len(panel.first.classes) == 2 else "Their temperature is"
    return [f"{said} {chosen} chosen on the validation images of all folds, each scored by those validated on it."]


def _name(panel) -> str:
    names = [member.run.path.name for member, weight in zip(panel.members, panel.weights, strict=True) if weight > 0]
    return join_names(names) if len(names) <= _NAMED else listed(names, _NAMED)


def name_files(metrics: Mapping, *others: str) -> list[str]:
    """Return the files of a run that give its scores, and others that a command reads; `metrics` tell a hybrid."""
    hybrid = ["classifier.skops"] if "classifier" in metrics else []
    return ["recipe.json", "metrics.json", *others, "model.keras", *hybrid]
