"""Whether what a run answered since it was trained has drifted from its test split, in all and month by month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed.answer_units import unit_of
from tlmed.drift.drift_tests import Reference, list_drift_tests, share_kinds
from tlmed.drift.incoming_rows import Batch, Reading, read_incoming
from tlmed.drift.own_images import count_learned, count_own
from tlmed.drift.stability_index import LARGE, SMALL
from tlmed.errors import InputError
from tlmed.evaluation.decisions import read_decision
from tlmed.evaluation.measures import Scoring, measure
from tlmed.evaluation.pooled_csv import list_tables, read_units
from tlmed.evaluation.predictions import Predictions
from tlmed.intact import check_intact
from tlmed.label_texts import UNKNOWN
from tlmed.members import list_members
from tlmed.metrics import holm, positive_index
from tlmed.novelty import NOVELTY, find_novelty
from tlmed.novelty.known_images import ALARM, count_alarms
from tlmed.run_files import METRICS_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import count, join_names

LEVEL = 0.05
LEAST = 20  # images, or patients: with fewer nothing is tested
WHOLE = "all"
METRICS = ("auc", "accuracy", "sensitivity", "specificity", "brier")


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Watched:
    """What came of a check for drift.

    Attributes:
        content: Of `watch.json`.
        scores: Of each class that was tested, those of the test split and those since, float [n] and [m].
    """

    content: dict
    scores: dict[str, tuple[np.ndarray, np.ndarray]]


def check_drift(run: RunDir, file: Path, date: str | None = None, group: str | None = None, seed: int = 0) -> Watched:
    """Compare what a run answered since it was trained with its test split.

    All tests, of all months together, are corrected for their number (Holm): where nothing has changed, drift is found
    in at most one of twenty files.

    Args:
        run: A complete run of one network, or an ensemble.
        file: A CSV as `tlmed predict` writes it; maybe with `label`, a column of dates and one of groups.
        date: The column of dates: each month is tested, too.
        group: The column that says whose each image is; None: `group`, if there is one.
        seed: Decides the draws of tests by groups.

    Raises:
        InputError: If the run or the file cannot be used, or one of the two has too few images for any test.
    """
    if run.folds:
        raise InputError(
            "RUN must be the run of one network or an ensemble, whose test split is compared; of a cross-validation "
            f"give one of its folds. Received: {str(run.path)!r}, a cross-validation of {len(run.folds)} folds."
        )
    notes, metrics = [*_check_run(run)], METRICS_JSON.read(run)
    several = read_task(metrics) == MULTI_LABEL
    reference = read_reference(run, metrics)
    incoming = read_incoming(file, Reading(reference.classes, several, date, group))
    batch = incoming.batch
    if incoming.repeated:
        again = "has" if incoming.repeated == 1 else "have"
        rows = f"{count(incoming.repeated, 'row')} {again} the path and the scores"
        notes.append(f"{rows} of an earlier row: the same image again, which counts once.")
    if incoming.alone:
        names = "names" if incoming.alone == 1 else "name"
        notes.append(f"{count(incoming.alone, 'row')} {names} no group: each counts by itself.")
    decided = _predict(run, metrics, reference, batch)
    if not incoming.decided:
        batch = decided
        notes.append("The file has no predicted classes: they follow from the scores, by the run's rule.")
    notes += [
        *_note_disagreement(batch, decided),
        *_note_own(reference, incoming),
        *_note_learned(run, incoming.paths),
        *_note_lacks(reference, batch, group),
    ]
    periods = [_compare(reference, batch.take(rows), name, seed) for name, rows in list_periods(batch)]
    _refuse_too_few(run, file, reference, periods[0])
    _correct(periods)
    labelled = {
        period["period"]: found
        for period, (_, rows) in zip(periods, list_periods(batch), strict=True)
        if (found := _score(reference, batch.take(rows), metrics))
    }
    tests = [test for period in periods for test in period["tests"]]
    content = {
        "run": str(run.path),
        "predictions": str(file),
        "drift": any(test["drift"] for test in tests),
        "level": LEVEL,
        "psi_thresholds": {"moderate": SMALL, "large": LARGE},
        "tests": len(tests),
        "classes": list(reference.classes),
        "reference": _describe(reference.batch, reference),
        "periods": periods,
        "metrics": {"test": _pick(metrics), **labelled} if labelled else {},
        "notes": notes,
    }
    columns = range(len(reference.classes)) if reference.main is None else [reference.main]
    pairs = {reference.classes[i]: (reference.batch.scores[:, i], batch.scores[:, i]) for i in columns}
    return Watched(content, pairs)


def _check_run(run) -> list[str]:
    if run.is_ensemble:
        return []
    tables = list_tables(METRICS_JSON.read(run))
    there = [name for name in (NOVELTY, SPLITS_CSV.name) if (run / name).exists()]
    return check_intact(run, ["metrics.json", *tables, *there])


def read_reference(run: RunDir, metrics: Mapping) -> Reference:
    """Return what a run answered for its test split.

    Raises:
        InputError: If its files cannot be read.
    """
    units = read_units(run.path, metrics).of("test")
    names = units.groups or ("",) * len(units.paths)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    own = len(numbers) + np.arange(len(names))
    owners = np.array([numbers[name] if name else own[row] for row, name in enumerate(names)], int)
    known = find_novelty(run)
    # Of a run that pools by group, and of an older one that pools by file, what is kept is of something else.
    fits = known is not None and len(known.tested) and unit_of(known.about) == unit_of(metrics)
    judged = {"tested": known.tested, "testers": known.testers} if fits else {}
    main = None if units.is_multi else positive_index(units.classes, metrics.get("positive"))
    batch = Batch(units.scores, units.predictions, owners, units.labels)
    return Reference(batch, units.classes, main, paths=tuple(units.paths), **judged)


def _predict(run, metrics, reference, batch) -> Batch:
    guesses = read_decision(run).choose(batch.scores, reference.main, read_task(metrics))
    return Batch(batch.scores, guesses, batch.owners, batch.labels, batch.unusual, batch.months)


def _note_disagreement(batch, decided) -> list[str]:
    known = batch.guesses != UNKNOWN
    differ = int(((batch.guesses != decided.guesses) & known).reshape(len(known), -1).any(axis=1).sum())
    if not differ:
        return []
    return [
        f"{differ:,} of {count(len(known), 'row')} have another predicted class than the run's rule gives for their "
        "scores: another threshold, or a column that is not of these scores. The classes of the file are tested."
    ]


def _note_own(reference, incoming) -> list[str]:
    rows = incoming.batch.scores
    named, unnamed = count_own(incoming.paths, rows, reference.paths, reference.batch.scores)
    said = {
        "are test images of the run": named,
        "have the scores of test images of the run, under other names: most likely they are these": unnamed,
    }
    return [
        f"{amount:,} of {count(len(rows), 'row')} {what}, in which there is no drift to find."
        for what, amount in said.items()
        if amount
    ]


def _note_learned(run, paths) -> list[str]:
    try:
        recorded = [SPLITS_CSV.read(member.run) for member in list_members(run, (SPLITS_CSV.name,))]
    except InputError as error:  # a member is gone, or a run was given away without its list of images
        return [f"Whether rows are training or validation images of the run is not known. {error.faults[0]}"]
    found = count_learned(paths, recorded)
    if not (amount := sum(found.values())):
        return []
    kinds = {"training image": found["train"], "validation image": found["val"]}
    said = join_names([count(number, kind) for kind, number in kinds.items() if number])
    verb, where, them = ("is", "path", "it") if amount == 1 else ("are", "paths", "these")
    return [
        f"{said} {verb} among the {count(len(paths), 'row')}, by {'its' if amount == 1 else 'their'} {where}: the run "
        f"learned from {them}, and its scores on {'it' if amount == 1 else 'them'} say nothing of new images."
    ]


def _refuse_too_few(run, file, reference, whole) -> None:
    """Refuse a file of which nothing can be tested: that must not look like one without drift."""
    if whole["tests"]:
        return
    own = len(np.unique(reference.batch.owners))
    if own < LEAST:
        raise InputError(
            f"The test split of RUN must have {LEAST} images (or patients) or more to be compared with. Received: "
            f"{str(run.path)!r}, with {own}."
        )
    raise InputError(
        f"`--predictions` must name {LEAST} images (or patients) or more: with fewer, nothing is tested. Received: "
        f"{str(file)!r}, with {whole['groups']}."
    )


def _note_lacks(reference, batch, group) -> list[str]:
    notes = []
    if reference.tested is None:
        notes.append("The run keeps no p-values of its test images (or of their files): unusual images are not tested.")
    elif batch.unusual is None:
        notes.append("The file has no column `unusual`: the share of images unlike those of training is not tested.")
    elif lacking := int(np.isnan(batch.unusual).sum()):
        notes.append(
            f"{lacking:,} of {count(len(batch.unusual), 'row')} {'has' if lacking == 1 else 'have'} no value in "
            "`unusual`, and do not count where unusual images are counted or tested."
        )
    grouped, several = (len(np.unique(part.owners)) < len(part.owners) for part in (reference.batch, batch))
    if grouped or several:
        notes.append(
            f"Tests are by groups, such as patients ({len(np.unique(reference.batch.owners)):,} in the test split, "
            f"{len(np.unique(batch.owners)):,} now): each counts once, in the values beside its test, too. The PSI, "
            "pictures, shares of classes and metrics are of images."
        )
    if grouped and group is None and not several:
        notes.append(
            "The test split has patients with several images, and the file names nobody: each of its rows counts as "
            "another patient's. If they are not, false alarms are more frequent; `--group COLUMN` names them."
        )
    return notes


def list_periods(batch: Batch) -> list[tuple[str, np.ndarray]]:
    """Return the names and rows of what is compared: all, and each month, if there are dates."""
    periods = [(WHOLE, np.arange(len(batch.scores)))]
    if batch.months is None:
        return periods
    return periods + [(month, np.flatnonzero(batch.months == month)) for month in sorted(set(batch.months.tolist()))]


def _describe(batch: Batch, reference: Reference) -> dict:
    found = {"n": len(batch.scores), "groups": len(np.unique(batch.owners))}
    if reference.several:
        return found | {"classes": dict(zip(reference.classes, batch.guesses.mean(0).tolist(), strict=True))}
    return found | {"classes": share_kinds(batch.guesses, reference.classes)}


def _compare(reference, batch, name, seed) -> dict:
    found = {"period": name, **_describe(batch, reference)}
    if batch.unusual is not None and (known := ~np.isnan(batch.unusual)).any():
        found["unusual"] = count_alarms(batch.unusual[known], batch.owners[known]) | {"alarm": ALARM}
    owners = min(found["groups"], len(np.unique(reference.batch.owners)))
    if owners < LEAST:
        what = "image" if found["groups"] == found["n"] else "group"
        return found | {"reason": f"{count(owners, what)}; it takes {LEAST} to test", "tests": []}
    return found | {"tests": list_drift_tests(reference, batch, seed)}


def _correct(periods: Sequence[dict]) -> None:
    """Add to each test its p-value corrected for all of them, and whether it finds drift."""
    tests = [test for period in periods for test in period["tests"]]
    for test, adjusted in zip(tests, holm([test["p"] for test in tests]), strict=True):
        test["adjusted"], test["drift"] = adjusted, adjusted < LEVEL


def _score(reference, batch, metrics) -> dict:
    """Return the metrics of the rows whose labels are known; nothing where there are fewer than `LEAST`."""
    if batch.labels is None:
        return {}
    known = (batch.labels != UNKNOWN).any(axis=1) if reference.several else batch.labels != UNKNOWN
    rows = np.flatnonzero(known)
    if len(rows) < LEAST:
        return {}
    part = batch.take(rows)
    predictions = Predictions(
        *(tuple(map(str, range(len(rows)))), ("test",) * len(rows), part.labels, part.scores, part.guesses),
        reference.classes,
        tuple(map(str, part.owners)),
        task=read_task(metrics),
    )
    return _pick(measure(predictions, Scoring("test", metrics.get("positive")), METRICS))


def _pick(found: Mapping) -> dict:
    entries = {name: found["metrics"][name] for name in METRICS if name in found["metrics"]}
    return {"n": found["n"], "metrics": entries}
