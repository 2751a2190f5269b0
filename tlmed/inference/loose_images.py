"""Predict the classes of loose image files."""

import tlmed.tensorflow_start

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlmed.answer_units import FILE, IMAGE
from tlmed.data import read_files
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.extras import describe_extras
from tlmed.data.pipeline import FileImages
from tlmed.data.tones import describe_tones, describe_unwindowed, note_tones
from tlmed.errors import InputError
from tlmed.evaluation.decision_lines import describe_choice
from tlmed.evaluation.explanations import Place
from tlmed.evaluation.label_lines import describe_choices
from tlmed.evaluation.lines import describe_worse
from tlmed.evaluation.pooling import say_how
from tlmed.evaluation.predicted_tables import list_columns
from tlmed.evaluation.unusual_lines import describe_lack, warn_of_unusual
from tlmed.inference.explained_images import (
    Answers,
    Pictures,
    check_stated,
    open_label_pictures,
    open_pictures,
    show_classes,
    show_labels,
)
from tlmed.inference.image_notes import describe_flat, join_notes, read_usual
from tlmed.inference.panel import Panel, describe_panel, open_panel
from tlmed.inference.panel_networks import PanelNetworks
from tlmed.inference.scorer import BATCH_SIZE
from tlmed.inference.unit_answers import answer_files
from tlmed.inference.unlike_images import Jury, open_jury, pool_rounded
from tlmed.rundir import RunDir
from tlmed.synthetic import describe_learned
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.voice import SILENT, Voice


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Answered:
    """What networks answered for loose images, and from what: a unit is an image, or a file where the run pools.

    Attributes:
        panel: What answered.
        networks: Its networks.
        names: The n samples, as they were read.
        files: Their pixels, by the rule of the first member.
        units: The m units.
        answers: Scores of samples and units, and what was chosen.
        calibrated: Calibrated probabilities of the units, float [m, k].
        columns: The columns of the table of predictions.
        rows: A row of it for each unit.
        broken: Path and reason of what was left out.
        unusual: How unlike the training images the units are, a p-value each, float [m]; None where it cannot be told.
    """

    panel: Panel
    networks: PanelNetworks
    names: list[str]
    files: FileImages
    units: list[str]
    answers: Answers
    calibrated: np.ndarray
    columns: list[str]
    rows: list[tuple]
    broken: list[tuple[str, str]]
    unusual: np.ndarray | None = None


def predict(
    run: RunDir,
    paths: Sequence[str | Path],
    skip_bad: bool = False,
    shown: Pictures | None = None,
    voice: Voice = SILENT,
) -> tuple[list[str], list[tuple], list[tuple[str, str]]]:
    """Predict the class of images: files, and folders with everything below them.

    A run that pools scores gives each file one answer, as it did in training. Which group a file belongs to is not
    known here, so that a run that pools by group gives each file one, too, and says so. The picture of a file is that
    of the sample which speaks most for its class.

    Args:
        run: A complete run, a cross-validation or an ensemble, whose networks answer together.
        paths: Files and folders.
        skip_bad: Leave out images that cannot be read, instead of refusing all.
        shown: Pictures of the evidence for each answer; None: there are none.
        voice: Where to warn of images with odd values, or with pages that are not used, and to say which threshold
            decides.

    Returns:
        The columns `path`, `prediction` (by the run's threshold), `score_<class>`, `calibrated_<class>`, `unusual` (the
        p-value of an image being like those of training; only where the run can tell) and `image_note` (a single
        colour, all but black, few grey levels, or values unlike those of training; empty for others); one row per
        image, or per file where the run pools; path and reason of what was left out.

    Raises:
        InputError: If a path is missing, an image cannot be read, the network cannot be explained like that, or the
            folder for the pictures lies in one of `paths` or holds files that may not be written over.
    """
    found = answer(run, paths, skip_bad, shown, voice)
    return found.columns, found.rows, found.broken


def answer(
    run: RunDir,
    paths: Sequence[str | Path],
    skip_bad: bool = False,
    shown: Pictures | None = None,
    voice: Voice = SILENT,
) -> Answered:
    """Return what `predict` gives, and what it was made from, for reports that say more; arguments are the same."""
    panel = open_panel(run)
    networks = PanelNetworks(panel)
    old, settings, decision = panel.metrics, panel.recipe.data, panel.decision
    classes, several = old["classes"], read_task(old) == MULTI_LABEL
    if shown is not None:
        check_stated(shown.labels, old)
        panel.refuse_several("`--explain`")
    for warning in panel.check_intact("environment.json", "plan.json"):
        voice.warn(warning)
    for warning in describe_learned(settings.source):
        voice.warn(warning)
    names, views, broken = _read(panel, paths, skip_bad)
    files = views[panel.first.rule]
    tones, usual = files.pixels.tones[files.rows], read_usual(panel.first.run)
    formats, extras = ([part[row] for row in files.rows] for part in (files.pixels.formats, files.pixels.extras))
    odd = describe_tones(names, tones, usual=usual)
    odd += describe_unwindowed(names, tones, formats, files.pixels.rule.intensity)
    flat = describe_flat(names, settings.channels)
    for warning in (*files.notes, *flat, *odd, *describe_extras(names, extras)):
        voice.warn(warning)
    pooling = panel.pooling
    if shown is not None:
        # Before scoring, so that a folder that cannot be used costs no time.
        explainer, place = networks.scorer.explainer(shown.method, shown.block), Place(shown.folder, names, shown.force)
        if several:
            pictures = open_label_pictures(place, paths, explainer, classes, shown.labels or classes)
        else:
            open_pictures(place, paths, explainer)
    scores, jury = _score(networks, views)
    found = answer_files(panel, names, scores)
    units, members, chosen, calibrated = found.names, found.members, found.chosen, found.calibrated
    answers = Answers(chosen, found.scores, scores, members)
    if shown is not None:
        if several:
            for line in show_labels(pictures, files, answers, explainer, decision.thresholds, classes, shown.labels):
                voice.say(line)
        else:
            show_classes(place, files, answers, explainer, old)
    unusual = None if jury.reason else pool_rounded(jury, jury.join(), members)
    if unusual is not None:
        for warning in warn_of_unusual(units, unusual, FILE if pooling.how else IMAGE):
            voice.warn(warning)
    judged = [] if unusual is None else [unusual[:, None]]
    tables = np.concatenate([found.scores, calibrated, *judged], axis=1, dtype=float)
    said = describe_choices(old) if several else describe_choice(old)
    about = (*describe_panel(panel), *_describe_units(pooling, old["positive"]))
    for line in (*about, *said, *describe_worse(old), *describe_lack(jury.reason)):
        voice.say(line)
    notes = join_notes(note_tones(tones, usual), names, members)
    lines = zip(units, chosen, tables.tolist(), notes, strict=True)
    rows = [
        (name, *(choice.tolist() if several else [classes[choice]]), *row, note) for name, choice, row, note in lines
    ]
    columns = list_columns(classes, several, unusual is not None)
    return Answered(panel, networks, names, files, units, answers, calibrated, columns, rows, broken, unusual)


def _score(networks, views) -> tuple[np.ndarray, Jury]:
    """Return class probabilities of the samples, and who judged how unlike the training images they are."""
    jury = open_jury(networks.panel)

    def score(member, scorer):
        features = scorer.read(views[member.rule].batches(BATCH_SIZE))
        jury.note(member, features)
        return scorer.finish(features)

    return networks.score(score), jury


def _read(panel, paths, skip_bad) -> tuple[list[str], dict[PixelRule, FileImages], list[tuple[str, str]]]:
    """Read files by the rule of each member; left out are those that one of them cannot read."""
    rules = dict.fromkeys(member.rule for member, weight in zip(panel.members, panel.weights, strict=True) if weight)
    slicing = panel.recipe.data.slicing
    found = {rule: read_files(paths, rule, skip_bad, slicing) for rule in {panel.first.rule: None, **rules}}
    common = set.intersection(*(set(names) for names, _, _ in found.values()))
    if not common:
        raise InputError("One image or more must be readable by the rules of all members. Received: none.")
    views = {}
    for rule, (names, files, _) in found.items():
        rows = [place for place, name in enumerate(names) if name in common]
        views[rule] = files if len(rows) == len(names) else replace(files, rows=files.rows[rows])
    names = next(names for names, _, _ in found.values())
    broken = dict(pair for _, _, broken in found.values() for pair in broken)
    return [name for name in names if name in common], views, list(broken.items())


def _describe_units(pooling, positive) -> list[str]:
    """Say what has one answer, where the run pools scores."""
    if not pooling.how:
        return []
    own = "; the run pools by group, which is not known here" if pooling.by != FILE else ""
    return [f"One row per file: {say_how(pooling, positive)}{own}."]
