"""The content of a lock: everything is read from the run's own files."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tlmed.digests import (
    BESIDE,
    digest_beside,
    digest_classifier,
    digest_layers,
    digest_metrics,
    digest_model,
    digest_pictures,
    list_history,
    list_lines,
    split_lines,
)
from tlmed.errors import InputError
from tlmed.evaluation.label_predictions_csv import read_label_predictions
from tlmed.evaluation.pooled_csv import list_tables
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.intact import FORMAT, checksum, divide_environment, list_choices, reading
from tlmed.novelty.novelty_file import digest_novelty
from tlmed.recipe import digest, from_json
from tlmed.regular_files import sha256
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, PLAN_JSON, RECIPE_JSON
from tlmed.rundir import NOVELTY, RunDir
from tlmed.seeds import derive
from tlmed.tasks import MULTI_LABEL, PRIMARY, read_task
from tlmed.whole_files import format_csv

STREAMS = ("split", "backbone", "statistics", "bootstrap/test", "folds", "pca", "classifier")
PREDICTIONS = ("path", "split", "label", "prediction", "score")
TABLES = {"predictions": "predictions.csv", "pooled": "pooled.csv"}  # parts of `results`; the second where pooled


def make_lock(run: RunDir) -> dict:
    """Return the content of a complete run's `lock.json`, without its checksum.

    Tables are lists of CSV lines, so that a version control system shows which line of a table changed.

    Raises:
        InputError: If the run's files cannot be read.
    """
    with reading(run):
        return _make(run)


def _make(run) -> dict:
    environment, resolved = ENVIRONMENT_JSON.read(run), RECIPE_JSON.read(run)
    if "code_sha256" not in environment:
        raise InputError(
            "RUN must be made by a version of tlmed that records all that decides a result; train it again. "
            f"Received: {str(run.path)!r}, made by an older version."
        )
    recipe, plan, task = from_json(resolved), PLAN_JSON.read(run), read_task(METRICS_JSON.read(run))
    parts = divide_environment(environment)
    return {
        "format": FORMAT,
        **name_task(task),
        "recipe": {**parts["recipe"], "sha256": digest(recipe), "resolved": resolved},
        "code": parts["code"],
        "data": {
            **parts["data"],
            **({"window": plan["window"]} if "window" in plan else {}),
            "sha256": sha256(run / "splits.csv"),
            "rows": list_lines(run / "splits.csv"),
        },
        "weights": parts["weights"],
        "seeds": {"seed": recipe.seed, "streams": name_streams(recipe.seed, list(list_choices(plan)))},
        "environment": parts["environment"],
        "plan": list_choices(plan),
        "files": {"plan.json": checksum(plan), **{name: digest_beside(run, name) for name in BESIDE}}
        | ({NOVELTY: digest_novelty(run / NOVELTY)} if (run / NOVELTY).exists() else {})
        | digest_pictures(run),
        "results": describe_results(run),
    }


def name_task(task: str) -> dict[str, str]:
    """Return what was asked of each image, of `tlmed.tasks`, and the metric that decides.

    >>> name_task("ordinal")
    {'task': 'ordinal', 'primary': 'quadratic_kappa'}
    """
    return {"task": task, "primary": PRIMARY[task]}


def describe_results(run: RunDir) -> dict:
    """Return a run's results: hashes of weights, predictions and `metrics.json`, and what weaker levels compare.

    The latter are the history, the predicted label and its score for each image (and for each file or group that images
    are pooled to), and the metrics of all classes together. With two classes one score tells the other. With more, a
    change of a lower score is seen in the hash only.

    Raises:
        InputError: If the run's files cannot be read.
    """
    with reading(run):
        hybrid, metrics = (run / "classifier.skops").exists(), METRICS_JSON.read(run)
        return {
            "weights": digest_model(run / "model.keras"),
            "layers": digest_layers(run / "model.keras"),
            "classifier": digest_classifier(run / "classifier.skops") if hybrid else None,
            **{
                part: _describe_table(run / file, metrics)
                for part, file in TABLES.items()
                if file in list_tables(metrics)
            },
            "metrics": describe_metrics(metrics),
            "history": list_history(run),
        }


def _describe_table(path, metrics) -> dict:
    if read_task(metrics) == MULTI_LABEL:
        return {"sha256": sha256(path), "rows": list_labels(path, metrics["classes"])}
    return {"sha256": sha256(path), "rows": list_predictions(path)}


def list_labels(path: Path, classes: Sequence[str]) -> list[str]:
    """Return the same for each label of each row, where an image may have several: its place is `path: label`."""
    found = read_label_predictions(path, classes)
    tables = zip(found.labels.tolist(), found.predictions.tolist(), found.scores.tolist(), strict=True)
    rows = (
        (f"{place}: {name}", split, label, guess, f"{score:.9g}")
        for place, split, cells in zip(found.paths, found.splits, tables, strict=True)
        for name, label, guess, score in zip(classes, *cells, strict=True)
    )
    return split_lines(format_csv(PREDICTIONS, rows))


def list_predictions(path: Path) -> list[str]:
    """Return the predicted label and its score for each row of a table of predictions, as lines of CSV."""
    found = read_predictions(path)
    scores = found.scores[np.arange(len(found.paths)), found.predictions].tolist()
    labels, guesses = ([found.classes[number] for number in numbers] for numbers in (found.labels, found.predictions))
    rows = zip(
        found.paths, found.splits, labels, guesses, (f"{score:.9g}" for score in scores), strict=True
    )  # all of float32
    return split_lines(format_csv(PREDICTIONS, rows))


def describe_metrics(metrics: dict) -> dict:
    """Return the overall metrics, and hashes of what `metrics.json` says except times.

    The first is of what the first versions that wrote locks said there, so that it can be compared with theirs; `whole`
    is of all.
    """
    kept = {name: metrics[name] for name in ("split", "n", "metrics")}
    return {"sha256": digest_metrics(metrics, whole=False), "whole": digest_metrics(metrics), **kept}


def name_streams(seed: int, phases: list[str]) -> dict[str, int]:
    """Return the seeds of some streams that a run draws from: if they change, streams are derived in another way."""
    return {name: derive(seed, *name.split("/")) for name in (*STREAMS, *(f"phase/{phase}" for phase in phases))}


def read_rows(lines: list[str]) -> list[dict[str, str]]:
    """Return a lock's table as one dictionary a row.

    >>> read_rows(["path,split", '"a, b.png",train'])
    [{'path': 'a, b.png', 'split': 'train'}]
    """
    return list(csv.DictReader(io.StringIO("\n".join(lines), newline="")))
