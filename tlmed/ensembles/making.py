"""Make an ensemble of finished runs: its shares, its decision, and scores of images that its members have not seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlmed.ensembles.fold_networks import FoldScores, add_folds, check_beginnings
from tlmed.ensembles.out_of_sample import (
    Answers,
    answer,
    count_members,
    count_tested,
    describe_nothing_left,
    find_unseen,
)
from tlmed.ensembles.shares import fit_shares
from tlmed.errors import InputError
from tlmed.evaluation.copies import count_copies
from tlmed.evaluation.decisions import Decision
from tlmed.evaluation.measures import Scoring, list_part_metrics, measure, score_pooled
from tlmed.evaluation.pooled_csv import list_tables
from tlmed.evaluation.pooling import Pooled
from tlmed.evaluation.predictions import describe_ties
from tlmed.inference.member_scores import MemberScores, describe_reading, note_differences, read_member_scores
from tlmed.inference.panel import check_members, name_files
from tlmed.inference.stated_costs import find_costs
from tlmed.inference.trained_runs import Trained, read_trained
from tlmed.intact import check_intact
from tlmed.members import Member, name_members
from tlmed.regular_files import sha256
from tlmed.run_files import METRICS_JSON, TIMING_JSON
from tlmed.run_files.check_summary import read_summary, say_members
from tlmed.rundir import RunDir, find_run
from tlmed.voice import SILENT, Voice
from tlmed.words import join_names

MEAN, FITTED = "mean", "fitted"
_NETWORK = ("model.keras", "classifier.skops")


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Made:
    """An ensemble, before it is written.

    Attributes:
        members: Its members with their shares.
        weights: How the shares were found, "mean" or "fitted".
        pooled: The predictions of test images, each by the members that have not seen it.
        result: The content of `metrics.json`.
        timing: The content of `timing.json`: the seconds of all members together.
    """

    members: tuple[Member, ...]
    weights: str
    pooled: Pooled
    result: dict
    timing: dict


def gather_runs(paths: Sequence[str | Path]) -> list[RunDir]:
    """Return the runs that paths name, a cross-validation standing for its folds.

    Raises:
        InputError: One is no complete run, or an ensemble, one is named twice, or they are fewer than two.
    """
    runs = []
    for path in paths:
        run = find_run(path, several=True)
        if run.is_ensemble:
            raise InputError(f"A member must be a run, or a cross-validation. Received: {str(path)!r}, an ensemble.")
        runs += [find_run(fold.path) for fold in run.folds] or [run]
    places = [run.path.resolve() for run in runs]
    if twice := list(dict.fromkeys(str(place) for place in places if places.count(place) > 1)):
        raise InputError(f"Each run must be given once. Received: {join_names(twice)}, the same directory twice.")
    if len(runs) < 2:
        raise InputError(
            "An ensemble needs two runs or more, or a cross-validation. "
            f"Received: {join_names([str(path) for path in paths]) if paths else 'none'}."
        )
    _check_copies(runs)
    return runs


def _check_copies(runs) -> None:
    """Refuse a run beside its copy, whose network would count twice."""
    known = {}
    for run in runs:
        network = tuple(sha256(run / name) for name in _NETWORK if (run / name).is_file())
        if network and network in known:
            raise InputError(
                f"Each run must be given once. Received: {known[network].path} and {run.path}, with the same network."
            )
        known[network] = run


def make_ensemble(
    runs: Sequence[RunDir], weights: str = MEAN, voice: Voice = SILENT, folds: Sequence[FoldScores] = ()
) -> Made:
    """Return an ensemble of runs: the weighted mean of their probabilities.

    Nothing is computed by a network here: the scores are those that the runs wrote down. Threshold and temperature are
    chosen on the members' validation images, as `MemberScores.decide` says. Metrics are of test images alone, each
    scored by the members that have seen neither it, nor a copy of it, nor its patient.

    Args:
        runs: From `gather_runs`.
        weights: "mean": all count alike. "fitted": as `fit_shares` finds on the validation images, which all members
            must share.
        voice: Where to tell what happens.
        folds: From `score_put_aside`, of networks that answer, too: those of inner folds of the images that `runs` were
            trained and validated on.

    Raises:
        InputError: If the members do not ask the same of the same images, a file was changed, there are no common
            validation images to fit weights to, or no image is left to score.
    """
    whole = len(runs)
    runs = [*runs, *(fold.run for fold in folds)]
    found, members = [Member(run) for run in runs], [read_trained(run) for run in runs]
    check_members(found, members)
    if folds:
        check_beginnings(runs[0], folds)
    names, unsure = name_members(found), [said for run in runs for said in _check_intact(run)]
    own = {name: describe_reading(members[0], member) for name, member in zip(names, members, strict=True)}
    table = add_folds(read_member_scores(members), folds)
    shares = np.full(len(runs), 1 / len(runs)) if weights == MEAN else _fit(table)
    decision = table.decide(np.ones(len(runs), bool), shares)
    unseen = find_unseen(members[:whole], table)
    if not unseen.by[shares > 0].any():
        raise describe_nothing_left(table, members)
    answers = answer(table, unseen.by, shares, decision, names)
    told = [
        *unsure,
        *unseen.unsure,
        *_note_rules(members, names),
        *say_members(names, [read_summary(member.run) for member in found]),
    ]
    result = _score(table, answers, decision, members[0])
    undecided = unseen.undecided[:, answers.rows][shares > 0].any(axis=0)
    result |= {"undecided": amount} if (amount := _count_units(answers, undecided)) else {}
    result["ensemble"] = _describe(table, answers, shares, weights, own) | ({"folds": len(folds)} if folds else {})
    ties = describe_ties(answers.pooled.units)
    for warning in (told := [*dict.fromkeys(told), *ties]):
        voice.warn(warning)
    result["evaluated"] = {"data": members[0].recipe.data.source, "split": "test", "warnings": told}
    chosen = tuple(Member(run, float(share)) for run, share in zip(runs, shares, strict=True))
    return Made(chosen, weights, answers.pooled, result, _add_up(found, names))


def _check_intact(run) -> list[str]:
    metrics = METRICS_JSON.read(run)
    tables = list_tables(metrics)
    return check_intact(run, name_files(metrics, "environment.json", "plan.json", "splits.csv", *tables))


def _fit(table: MemberScores) -> np.ndarray:
    """Return the members' shares, fitted to the units of the validation images that all of them have."""
    if not table.share_validation:
        raise InputError(
            "`--weights fitted` needs members with the same validation images, such as runs of one split with other "
            "backbones or recipes; --weights mean needs none. Received: members with different validation images."
        )
    rows = np.flatnonzero((table.splits == "val").any(axis=0))
    parts = [table.pool(rows, scores[rows], "val").units for scores in table.scores]
    shares = fit_shares(np.stack([part.scores for part in parts]), parts[0].labels)
    if shares is None:
        raise InputError(
            "`--weights fitted` needs a member that gives the right class some probability on validation images. "
            "Received: members that give none."
        )
    return shares


def _note_rules(members, names) -> list[str]:
    differ = {name: note_differences(members[0], other) for name, other in zip(names[1:], members[1:], strict=True)}
    return [
        f"{name} decides by {join_names(said)}: the ensemble decides as {names[0]} does."
        for name, said in differ.items()
        if said
    ]


def _score(table: MemberScores, answers: Answers, decision: Decision, first: Trained) -> dict:
    recipe, pooled = first.recipe, answers.pooled
    costs = find_costs(recipe, first.classes)
    asked = Scoring("test", table.positive, recipe.seed, decision, recipe.prevalence, costs=costs, stated=recipe.stated)
    result = score_pooled(pooled, asked)
    result |= count_copies(pooled, "test", dict(zip(table.paths, table.sha256, strict=True)))
    if result["positive"] is not None:
        result["positive_asked"] = recipe.data.positive is not None
    return result


def _count_units(answers, chosen) -> int:
    return len(set(answers.pooled.members[chosen].tolist()))


def _describe(table, answers, shares, weights, own) -> dict:
    """Return what `metrics.json` says of the members and of how many of them scored each unit.

    Args:
        table: The images and scores of all members.
        answers: From `answer`.
        shares: The members' weights.
        weights: How they were found.
        own: By the name of each member, how it finds its answer in another way than the first.
    """
    first = np.unique(answers.pooled.members, return_index=True)[1]
    amounts, whole = answers.amounts[first], int((shares > 0).sum())
    found = {
        "weights": weights,
        "members": [
            {"name": name, "weight": float(share)} | ({"own": said} if said else {})
            for (name, said), share in zip(own.items(), shares, strict=True)
        ],
        "scored_by": count_members(amounts),
        "tested": count_tested(table),
        "scored": len(amounts),
    }
    if 0 < (by_all := amounts == whole).sum() < len(amounts):
        part = answers.pooled.units.take(np.flatnonzero(by_all))
        asked = Scoring("test", table.positive, table.first.recipe.seed)
        measured = measure(replace(part, traits={}), asked, list_part_metrics(part.task))
        found["by_all"] = {"n": measured["n"], "metrics": measured["metrics"]}
    return found


def _add_up(members, names) -> dict:
    """Return the seconds of all members, and the memory of the largest."""
    timings = [TIMING_JSON.find(member.run) for member in members]
    totals = {name: [timing.get(name) for timing in timings] for name in ("training_seconds", "total_seconds")}
    found = {name: round(sum(values), 3) for name, values in totals.items() if None not in values}
    memory = [timing.get("peak_memory_mb") for timing in timings]
    found |= {} if None in memory else {"peak_memory_mb": max(memory)}
    stages = [
        {"name": name, "seconds": timing.get("total_seconds")} for name, timing in zip(names, timings, strict=True)
    ]
    return {**found, "stages": stages}
