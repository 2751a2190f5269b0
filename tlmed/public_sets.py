"""List public sets of medical images for classification: what they show, their size and licence, how to get them.

`public_sets.csv` holds one row for each, with its source in the last column. A cell is empty where the source does not
say it.
"""

import csv
from dataclasses import dataclass, fields
from pathlib import Path

from tlmed.errors import InputError, did_you_mean
from tlmed.sections.image_attributes import MODALITIES, SYNONYMS
from tlmed.tabulation import Table, numbers, texts
from tlmed.whole_files import format_csv
from tlmed.words import count

FILE = Path(__file__).with_suffix(".csv")


@dataclass(frozen=True)
class PublicImages:
    """A set of the list; all are texts, "" for what is not known.

    Attributes:
        name: As its authors call it.
        modality: One of those that `data.modality` takes.
        part: One of those that `data.body_part` takes.
        task: What is classified.
        year: Of its publication.
        images: How many there are, in all splits; volumes count once.
        classes: How many there are.
        patients: How many there are.
        licence: Of the images.
        get: What `--data` takes, or the address of a page.
        source: The papers and pages that say all this.
    """

    name: str
    modality: str
    part: str
    task: str
    year: str
    images: str
    classes: str
    patients: str
    licence: str
    get: str
    source: str


COLUMNS = tuple(field.name for field in fields(PublicImages))


def read_sets(modality: str | None = None, task: str | None = None) -> list[PublicImages]:
    """Return the sets, by modality, part of the body and name.

    Args:
        modality: Only those of this modality, by any of its names.
        task: Only those with this text in their task, in any case.

    Raises:
        InputError: There is no such modality.

    >>> [found.name for found in read_sets("ultrasound", "malignancy")]
    ['BUSI', 'BreastMNIST']
    """
    wanted = None if modality is None else _find_modality(modality)
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = [PublicImages(**row) for row in csv.DictReader(file)]
    return [
        row
        for row in rows
        if wanted in (None, row.modality) and (task is None or task.casefold() in row.task.casefold())
    ]


def _find_modality(name: str) -> str:
    found = SYNONYMS.get(name.casefold(), name.casefold())
    if found not in MODALITIES:
        near = did_you_mean(name, (*MODALITIES, *SYNONYMS))
        raise InputError(f"--modality must be one of {', '.join(MODALITIES)}.{near} Received: {name!r}.")
    return found


def describe_sets(found: list[PublicImages]) -> list[str | Table]:
    """Return a table of sets, with what its columns mean."""
    rows = [
        (
            *(row.name, row.modality, row.part, row.task, row.year),
            *(_count(row.images), row.classes, _count(row.patients), row.licence, row.get),
        )
        for row in found
    ]
    said, sizes = texts("set", "modality", "part", "task"), numbers("year", "images", "classes", "patients")
    return [
        Table(said + sizes + texts("licence", "get it by"), rows),
        "",
        f"{count(len(found), 'set')}. medmnist:NAME and tfds:NAME are what --data takes; of others it takes the folder "
        "or the table that you make. An empty cell: the source does not say. Read the licence at its source.",
        "`tlmed data list --csv` prints the rows with their sources.",
    ]


def to_csv(found: list[PublicImages]) -> str:
    """Return sets as CSV, with their sources."""
    return format_csv(COLUMNS, [[getattr(row, name) for name in COLUMNS] for row in found])


def _count(number: str) -> str:
    return f"{int(number):,}" if number else ""
