"""The tables of predictions of a run: `predictions.csv` of its samples, and `pooled.csv` of the units they make up."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from tlmed.answer_units import IMAGE, unit_of
from tlmed.errors import InputError
from tlmed.evaluation.label_predictions_csv import read_label_predictions, write_label_predictions
from tlmed.evaluation.pooling import Pooled, Pooling, read_pooling
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.predictions_csv import read_predictions, write_predictions
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.tasks import MULTI_LABEL, read_task

TABLES = PREDICTIONS, POOLED = ("predictions.csv", "pooled.csv")


def name_table(metrics: Mapping) -> str:
    """Return the table that `metrics.json` describes.

    >>> name_table({"unit": "group"}), name_table({})
    ('pooled.csv', 'predictions.csv')
    """
    return PREDICTIONS if unit_of(metrics) == IMAGE else POOLED


def list_tables(metrics: Mapping) -> list[str]:
    """Return the tables of predictions that a run or an evaluation has, by its `metrics.json`.

    An evaluation of a `pooled.csv` has no predictions of samples.

    >>> list_tables({"unit": "file", "per_sample": {}}), list_tables({"unit": "image"}), list_tables({"unit": "file"})
    (['predictions.csv', 'pooled.csv'], ['predictions.csv'], ['pooled.csv'])
    """
    samples = [PREDICTIONS] if "per_sample" in metrics or unit_of(metrics) == IMAGE else []
    return list(dict.fromkeys((*samples, name_table(metrics))))


def write_pooled(folder: Path, pooled: Pooled) -> None:
    """Write `predictions.csv` where there are predictions of samples, and `pooled.csv` where these were pooled."""
    write = write_label_predictions if pooled.samples.is_multi else write_predictions
    if pooled.samples.unit == IMAGE:
        write(folder / PREDICTIONS, pooled.samples)
    if pooled.units.unit != IMAGE:
        write(folder / POOLED, pooled.units)


def find_pooling(table: Path) -> tuple[Pooling, str | None]:
    """Return how the rows of a table of predictions were pooled, and which of two classes was positive then.

    Both as the `metrics.json` beside a `pooled.csv` says: "max" and "top3" take the highest scores of that class.
    """
    if table.name != POOLED:
        return Pooling(), None
    try:
        found = METRICS_JSON.read(RunDir(table.parent))
    except InputError:  # there is none, or it is another program's
        return Pooling(), None
    return read_pooling(found), found.get("positive")


def read_units(folder: Path, metrics: Mapping) -> Predictions:
    """Read the predictions that `metrics.json` describes: a row for each unit.

    Raises:
        InputError: As `read_predictions`.
    """
    return dataclasses.replace(_read(folder / name_table(metrics), metrics), unit=unit_of(metrics))


def read_samples(folder: Path, metrics: Mapping) -> Predictions:
    """Read the predictions of samples, also where these are pooled.

    Raises:
        InputError: As `read_predictions`.
    """
    return _read(folder / PREDICTIONS, metrics)


def _read(table, metrics) -> Predictions:
    """Read a table of a run with the order of classes, and the task, that its `metrics.json` names."""
    if (task := read_task(metrics)) == MULTI_LABEL:
        return read_label_predictions(table, metrics["classes"])
    return read_predictions(table, order=metrics["classes"], task=task)
