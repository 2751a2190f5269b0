"""The tables of predictions of a run: `predictions.csv` of its samples, and `pooled.csv` of the units they make up."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from tlmed.answer_units import IMAGE, unit_of
from tlmed.evaluation.pooling import Pooled
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.predictions_csv import read_predictions, write_predictions

TABLES = PREDICTIONS, POOLED = ("predictions.csv", "pooled.csv")


def name_table(metrics: Mapping) -> str:
    """Return the table that `metrics.json` describes.

    >>> name_table({"unit": "group"}), name_table({})
    ('pooled.csv', 'predictions.csv')
    """
    return PREDICTIONS if unit_of(metrics) == IMAGE else POOLED


def list_tables(metrics: Mapping) -> list[str]:
    """Return the tables of predictions that a run has, by its `metrics.json`.

    >>> list_tables({"unit": "file"}), list_tables({"unit": "image"})
    (['predictions.csv', 'pooled.csv'], ['predictions.csv'])
    """
    return list(dict.fromkeys((PREDICTIONS, name_table(metrics))))


def write_pooled(folder: Path, pooled: Pooled) -> None:
    """Write `predictions.csv`, and `pooled.csv` where samples were pooled."""
    write_predictions(folder / PREDICTIONS, pooled.samples)
    if pooled.are_pooled:
        write_predictions(folder / POOLED, pooled.units)


def read_units(folder: Path, metrics: Mapping) -> Predictions:
    """Read the predictions that `metrics.json` describes: a row for each unit.

    Raises:
        InputError: As `read_predictions`.
    """
    return dataclasses.replace(read_predictions(folder / name_table(metrics)), unit=unit_of(metrics))
