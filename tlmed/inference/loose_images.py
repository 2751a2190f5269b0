"""Predict the classes of loose image files."""

import tlmed.tensorflow_start

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tlmed import metrics
from tlmed.data import read_files
from tlmed.data.extras import describe_extras
from tlmed.data.tones import describe_tones, note_tones
from tlmed.evaluation.decisions import read_decision
from tlmed.evaluation.explanations import Place, name_in, open_folder, save_explanations
from tlmed.evaluation.lines import caption_choice, describe_choice, describe_worse
from tlmed.evaluation.predictions import predict_classes
from tlmed.evaluation.predictions_csv import list_columns
from tlmed.inference.scorer import BATCH_SIZE, computing, load_scorer, name_files
from tlmed.intact import check_intact
from tlmed.recipe import from_json
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, RECIPE_JSON
from tlmed.rundir import RunDir
from tlmed.synthetic import describe_learned
from tlmed.targets import writing_out
from tlmed.voice import SILENT, Voice


def predict(
    run: RunDir,
    paths: Sequence[str | Path],
    skip_bad: bool = False,
    explain: Path | None = None,
    method: str | None = None,
    block: str | None = None,
    force: bool = False,
    voice: Voice = SILENT,
) -> tuple[list[str], list[tuple], list[tuple[str, str]]]:
    """Predict the class of images: files, and folders with everything below them.

    Args:
        run: A complete run.
        paths: Files and folders.
        skip_bad: Leave out images that cannot be read, instead of refusing all.
        explain: A folder for a picture of each image that shows where the evidence for its class lies.
        method: How it is found, one of `tlmed.evaluation.explanations.METHODS`; None: Grad-CAM, or occlusion where
            the network allows no other.
        block: The block that Grad-CAM and Grad-CAM++ show; None: the last.
        force: Write over earlier explanations.
        voice: Where to warn of images with odd values, or with pages that are not used, and to say which threshold
            decides.

    Returns:
        The columns `path`, `prediction` (by the run's threshold), `score_<class>`, `calibrated_<class>` and
        `image_note` (a single colour, all but black, few grey levels, or values unlike those of training; empty for
        others); one row per image; path and reason of what was left out.

    Raises:
        InputError: If a path is missing, an image cannot be read, the network cannot be explained like that, or the
            folder for the pictures lies in one of `paths` or holds files that may not be written over.
    """
    old, settings, decision = METRICS_JSON.read(run), from_json(RECIPE_JSON.read(run)).data, read_decision(run)
    classes = old["classes"]
    for warning in check_intact(run, name_files(old, "environment.json")):
        voice.warn(warning)
    for warning in describe_learned(settings.source):
        voice.warn(warning)
    names, files, broken = read_files(paths, settings.image_size, skip_bad, settings.slicing)
    tones, usual = files.pixels.tones, read_usual(run)
    odd = describe_tones(names, tones, usual=usual)
    for warning in (*files.notes, *odd, *describe_extras(names, files.pixels.extras)):
        voice.warn(warning)
    scorer = load_scorer(run)
    explainer = None if explain is None else scorer.explainer(method, block)
    if explainer is not None:
        # Before scoring, so that a folder that cannot be used costs no time.
        place = Place(explain, names, force)
        open_folder(explain, paths)
        name_in(place, explainer.method)
    scores = scorer(files.batches(BATCH_SIZE))
    chosen = predict_classes(scores, metrics.positive_index(classes, old["positive"]), decision.threshold)
    if explainer is not None:
        with writing_out(explain, "--explain"), computing():
            rule = caption_choice(old)
            save_explanations(place, files.batches(BATCH_SIZE), chosen, scores, classes, explainer, rule)
    tables = np.concatenate([scores, metrics.apply_temperature(scores, decision.temperature)], axis=1, dtype=float)
    for line in (*describe_choice(old), *describe_worse(old)):
        voice.say(line)
    lines = zip(names, chosen, tables.tolist(), note_tones(tones, usual), strict=True)
    rows = [(name, classes[choice], *row, note) for name, choice, row, note in lines]
    return list_columns(classes), rows, broken


def read_usual(run) -> dict[str, int] | None:
    """Return how many values a run's training images usually have; None for runs that did not record it yet."""
    return ENVIRONMENT_JSON.read(run, "data")["data"].get("values")
