"""Explain a run's most telling test images, for its report."""

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
from PIL import Image

from tlmed.data import ImageSet
from tlmed.errors import InputError
from tlmed.evaluation.explanations import Explainer, draw_panel, pick_cases
from tlmed.evaluation.explanations.gradients import BATCH_SIZE
from tlmed.evaluation.pooled_csv import read_samples, read_units
from tlmed.evaluation.pooling import find_telling, read_pooling
from tlmed.evaluation.predictions import Predictions
from tlmed.inference import Scorer, load_scorer
from tlmed.metrics import positive_index
from tlmed.plan.costs import count_flops
from tlmed.run.job import Job
from tlmed.run_files import EXAMPLES_JSON, METRICS_JSON
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
    if not wanted or images.table.is_multi:  # of several labels none is explained yet
        return
    run.mark("Explaining examples.")
    with job.clock.stage("examples"), job.voice.busy("Explaining examples"):
        result = METRICS_JSON.read(run)
        predictions = read_units(run.path, result)
        main = positive_index(predictions.classes, result["positive"])
        cases = pick_cases(predictions, wanted, main, result["threshold"], result["split"])
        rows = sorted({row for chosen in cases.values() for row in chosen})
        if not rows:
            return
        shown = _find_shown(run, result, predictions, rows)
        pixels = dict(zip(rows, _read(images, [shown[row] for row in rows]), strict=True))
        maps, method, notes = _explain_aside(run, cases, pixels, predictions)
        (run / EXAMPLES).mkdir(exist_ok=True)
        examples = []
        for kind, row, name in _name_files(cases):
            heat = maps.get(row)
            _write_picture(run / EXAMPLES / name, pixels[row], heat, predictions, row, method)
            example = _describe(kind, row, name, predictions, None if heat is None else method)
            examples.append({**example, **({"sample": shown[row]} if "pool" in result else {})})
        EXAMPLES_JSON.write(run, {"split": result["split"], "notes": notes, "examples": examples})
    for note in notes:
        job.voice.warn(note)


def _find_shown(run, result, units: Predictions, rows) -> dict[int, str]:
    """Return the image that is shown for each of some units: itself, or its sample that speaks most for its class."""
    pooling, samples = read_pooling(result), read_samples(run.path, result).of(result["split"])
    names = np.array(pooling.name(samples.paths, samples.groups), dtype=object)
    shown = {}
    for row in rows:
        own = np.flatnonzero(names == units.paths[row])
        scores, alone = samples.scores[own], np.zeros(len(own), int)
        shown[row] = samples.paths[own[find_telling(scores, alone, [units.predictions[row]])[0]]]
    return shown


def _read(images, paths) -> np.ndarray:
    # `predictions.csv` holds only validation and test images, so that its row numbers are not those of the images.
    numbers = {path: number for number, path in enumerate(images.table.paths)}
    chosen = [numbers[path] for path in paths]
    return np.concatenate([batch.numpy() for batch, _ in images.batches(chosen, 32)])


def _explain_aside(run, cases, pixels, predictions) -> tuple[dict[int, np.ndarray], str, list[str]]:
    """Return what `_explain` returns. If waiting for it is interrupted (Ctrl-C, SIGTERM), the work soon ends, too.

    The work runs in a thread, because the scope of a strategy does not reach there: one process explains by itself.
    """
    left, pool = threading.Event(), ThreadPoolExecutor(1)
    try:
        return pool.submit(_explain, run, cases, pixels, predictions, left).result()
    finally:
        left.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _explain(run, cases, pixels, predictions, left) -> tuple[dict[int, np.ndarray], str, list[str]]:
    """Return maps by row, the name of the method, and sentences about images without a map.

    Nothing is written here: once `left` is set, nobody waits for the thread that this runs in.
    """
    try:
        scorer = _watch(load_scorer(run), left)
        explainer = _prepare(scorer)
    except InputError as error:
        return {}, "", [f"The images are shown without explanations: {error}"]
    rows, notes = sorted(pixels), []
    if explainer.method == "occlusion":
        rows = _limit(cases, count_flops(scorer.network or scorer.features))
        if len(rows) < len(pixels):
            notes.append(
                f"{len(rows):,} of {len(pixels):,} images are explained, the first of each kind, because occlusion "
                "takes long with this network; tlmed predict --explain explains any image."
            )
    maps = {}
    # In the batches that explainers make themselves: in others the last bits differ.
    for start in range(0, len(rows), BATCH_SIZE):
        _check(left)
        batch = rows[start : start + BATCH_SIZE]
        found = explainer(np.stack([pixels[row] for row in batch]), predictions.predictions[batch])
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


def _limit(cases, work) -> list[int]:
    """Return the rows of the first cases of each kind: as many as MOST_WORK allows, but at least one of each kind."""
    most = max(map(len, cases.values()))
    for each in range(most, 1, -1):
        rows = {row for chosen in cases.values() for row in chosen[:each]}
        # One pass for the image as it is, and one for each square that is covered.
        if len(rows) * (SQUARES**2 + 1) * work <= MOST_WORK:
            return sorted(rows)
    return sorted({row for chosen in cases.values() for row in chosen[:1]})


def _name_files(cases) -> Iterator[tuple[str, int, str]]:
    for kind, rows in cases.items():
        for rank, row in enumerate(rows, 1):
            yield kind, row, f"{kind}-{rank}.png"


def _write_picture(file, image, heat, predictions: Predictions, row, method) -> None:
    label = predictions.predictions[row]
    caption = f"{predictions.classes[label]} {thousandths(predictions.scores[row, label])}"
    with atomic(file) as part:
        drawn = Image.fromarray(image) if heat is None else draw_panel(image, heat, caption, method)
        drawn.save(part, "PNG")


def _describe(kind, row, name, predictions: Predictions, method) -> dict:
    label = predictions.predictions[row]
    return {
        "kind": kind,
        "path": predictions.paths[row],
        "label": predictions.classes[predictions.labels[row]],
        "prediction": predictions.classes[label],
        "score": float(predictions.scores[row, label]),
        "method": method,
        "file": f"{EXAMPLES}/{name}",
    }
