"""Explain a run's most telling test images, for its report."""

import dataclasses
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
from PIL import Image

from tlmed.data import ImageSet
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import read_rule
from tlmed.evaluation.explanations import (
    Case,
    Explainer,
    choose_labels,
    draw_panel,
    list_cases,
    name_labels,
    pick_cases,
    pick_label_cases,
)
from tlmed.evaluation.explanations.gradients import BATCH_SIZE
from tlmed.evaluation.pooled_csv import read_samples, read_units
from tlmed.evaluation.pooling import find_telling, read_pooling
from tlmed.evaluation.predictions import Predictions
from tlmed.inference.scorer import Scorer, load_scorer
from tlmed.label_vectors import write_labels
from tlmed.metrics import positive_index
from tlmed.plan.costs import count_flops
from tlmed.run.job import Job
from tlmed.run_files import EXAMPLES_JSON, LABEL_KINDS, METRICS_JSON
from tlmed.rundir import EXAMPLES
from tlmed.whole_files import atomic
from tlmed.words import thousandths

SQUARES = 7  # along the shorter side, when an image is covered square by square
# Operations that occlusion may take. They are counted, not timed, so that a run explains the same images anywhere.
MOST_WORK = 5e12


def write_examples(job: Job, images: ImageSet) -> None:
    """Write `examples.json` and a picture for each case that it names; nothing where the recipe asks for none.

    Where a network cannot be explained the pictures show the images alone, and `examples.json` says why.
    """
    run, wanted = job.run, job.recipe.examples
    if not wanted:
        return
    run.mark("Explaining examples.")
    with job.clock.stage("examples"), job.voice.busy("Explaining examples"):
        result = METRICS_JSON.read(run)
        predictions = read_units(run.path, result)
        cases, said = _pick(predictions, wanted, result)
        if not cases:
            return
        shown = _find_shown(run, result, predictions, cases)
        pixels = dict(zip(shown, _read(images, list(shown.values())), strict=True))
        maps, method, notes = _explain_aside(run, cases, pixels)
        (run / EXAMPLES).mkdir(exist_ok=True)
        examples = []
        for case, name in zip(cases, _name_files(cases, predictions.classes), strict=True):
            place = case.row, case.column
            heat = maps.get(place)
            _write_picture(run / EXAMPLES / name, pixels[place], heat, predictions, case, method)
            example = _describe(case, name, predictions, None if heat is None else method)
            examples.append({**example, **({"sample": shown[place]} if "pool" in result else {})})
        EXAMPLES_JSON.write(run, {"split": result["split"], "notes": [*said, *notes], "examples": examples})
    for note in notes:
        job.voice.warn(note)


def _pick(predictions: Predictions, wanted, result) -> tuple[list[Case], list[str]]:
    """Return the images that are shown, and sentences on which labels are shown."""
    if predictions.is_multi:
        labels, said = choose_labels(result["per_class"])
        # Of each kind as many in all as of one class per image, but at least one of each label.
        cases = pick_label_cases(predictions, max(1, wanted // len(labels)), labels, result["split"])
        return cases, [*([said] if said else []), *_say_absent(cases, [predictions.classes[it] for it in labels])]
    main = positive_index(predictions.classes, result["positive"])
    # Of two classes the threshold stands for the rule.
    rule = read_rule(result["decision"], predictions.classes) if main is None and "decision" in result else None
    cases = pick_cases(predictions, wanted, main, result["threshold"], result["split"], rule)
    return list_cases(cases, predictions), []


def _say_absent(cases, labels) -> list[str]:
    """Say which kinds of cases some labels do not have."""
    found = {(case.label, case.kind) for case in cases}
    absent = [
        f"{label} {kind.replace('-', ' ')}" for label in labels for kind in LABEL_KINDS if (label, kind) not in found
    ]
    return [f"There is no image for: {', '.join(absent)}."] if absent else []


def _find_shown(run, result, units: Predictions, cases) -> dict[tuple[int, int], str]:
    """Return the image that is shown for each unit and class: itself, or its sample that speaks most for the class."""
    pooling, samples = read_pooling(result), read_samples(run.path, result).of(result["split"])
    names = np.array(pooling.name(samples.paths, samples.groups), dtype=object)
    shown = {}
    for row, column in sorted({(case.row, case.column) for case in cases}):
        own = np.flatnonzero(names == units.paths[row])
        scores, alone = samples.scores[own], np.zeros(len(own), int)
        shown[row, column] = samples.paths[own[find_telling(scores, alone, [column])[0]]]
    return shown


def _read(images, paths) -> np.ndarray:
    # `predictions.csv` holds only validation and test images, so that its row numbers are not those of the images.
    numbers = {path: number for number, path in enumerate(images.table.paths)}
    chosen = [numbers[path] for path in paths]
    return np.concatenate([batch.numpy() for batch, _ in images.batches(chosen, 32)])


def _explain_aside(run, cases, pixels) -> tuple[dict[tuple[int, int], np.ndarray], str, list[str]]:
    """Return what `_explain` returns. If waiting for it is interrupted (Ctrl-C, SIGTERM), the work soon ends, too.

    The work runs in a thread, because the scope of a strategy does not reach there: one process explains by itself.
    """
    left, pool = threading.Event(), ThreadPoolExecutor(1)
    try:
        return pool.submit(_explain, run, cases, pixels, left).result()
    finally:
        left.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _explain(run, cases, pixels, left) -> tuple[dict[tuple[int, int], np.ndarray], str, list[str]]:
    """Return maps by row and class, the name of the method, and sentences about images without a map.

    Nothing is written here: once `left` is set, nobody waits for the thread that this runs in.
    """
    try:
        scorer = _watch(load_scorer(run), left)
        explainer = _prepare(scorer)
    except InputError as error:
        return {}, "", [f"The images are shown without explanations: {error}"]
    places, notes = sorted(pixels), []
    if explainer.method == "occlusion":
        places = _limit(cases, count_flops(scorer.network or scorer.features))
        if len(places) < len(pixels):
            notes.append(
                f"{len(places):,} of {len(pixels):,} images are explained, the first of each kind, because occlusion "
                "takes long with this network; tlmed predict --explain explains any image."
            )
    maps = {}
    # In the batches that explainers make themselves: in others the last bits differ.
    for start in range(0, len(places), BATCH_SIZE):
        _check(left)
        batch = places[start : start + BATCH_SIZE]
        columns = np.array([column for _, column in batch])
        found = explainer(np.stack([pixels[place] for place in batch]), columns)
        maps |= dict(zip(batch, found, strict=True))
    return maps, explainer.name, notes


def _watch(scorer: Scorer, left) -> Scorer:
    """Return a scorer that checks `left` with each batch for its classifier: occlusion of one image takes several."""

    def finish(features):
        _check(left)
        return scorer.finish(features)

    return dataclasses.replace(scorer, finish=finish)


def _check(left) -> None:
    if left.is_set():
        raise CancelledError


def _prepare(scorer: Scorer) -> Explainer:
    """Return the default method; occlusion gets large squares that do not overlap, which is quicker and coarser."""
    explainer = scorer.explainer()
    if explainer.method != "occlusion":
        return explainer
    # Rounded up, so that SQUARES of them cover the shorter side.
    side = -(-min(scorer.features.input_shape[1:3]) // SQUARES)
    return scorer.explainer("occlusion", patch=side, stride=side)


def _limit(cases: Sequence[Case], work) -> list[tuple[int, int]]:
    """Return row and class of the first cases of each kind: as many as MOST_WORK allows, but at least one of each."""
    for each in range(max(case.rank for case in cases), 1, -1):
        places = {(case.row, case.column) for case in cases if case.rank <= each}
        # One pass for the image as it is, and one for each square that is covered.
        if len(places) * (SQUARES**2 + 1) * work <= MOST_WORK:
            return sorted(places)
    return sorted({(case.row, case.column) for case in cases if case.rank == 1})


def _name_files(cases: Sequence[Case], classes) -> list[str]:
    labels = name_labels(classes)
    return [f"{f'{labels[case.column]}-' if case.label else ''}{case.kind}-{case.rank}.png" for case in cases]


def _write_picture(file, image, heat, predictions: Predictions, case: Case, method) -> None:
    caption = f"{predictions.classes[case.column]} {thousandths(predictions.scores[case.row, case.column])}"
    with atomic(file) as part:
        drawn = Image.fromarray(image) if heat is None else draw_panel(image, heat, caption, method)
        drawn.save(part, "PNG")


def _describe(case: Case, name, predictions: Predictions, method) -> dict:
    classes, truth, guess = predictions.classes, predictions.labels[[case.row]], predictions.predictions[[case.row]]
    (label,), (prediction,) = write_labels(truth, classes), write_labels(guess, classes)
    return {
        "kind": case.kind,
        **({"of": case.label} if case.label else {}),
        "path": predictions.paths[case.row],
        "label": label,
        "prediction": prediction,
        "score": float(predictions.scores[case.row, case.column]),
        "method": method,
        "file": f"{EXAMPLES}/{name}",
    }
