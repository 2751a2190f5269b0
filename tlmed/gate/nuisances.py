"""What the class may follow from that is not the finding: facts of files, headers, names, frames, and columns.

Each becomes a few numbered bins per image, so that numbers and words are tested in the same way.
"""

import datetime
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tlmed.columns import is_missing, spell
from tlmed.gate.evidence import Evidence
from tlmed.gate.frame_measures import FRAME
from tlmed.gate.name_patterns import describe_names
from tlmed.patient_columns import is_group

FILE, HEADER, NAME, FRAME_PART, BRIGHTNESS, COLUMN = "file", "header", "name", "frame", "brightness", "column"
MOST_BINS = 10
_IN_BIN = 12  # owners in a bin of numbers at least, on average
_LEAST = 4  # images outside of the largest bin, without which there is nothing to test
_OWNERS = 2  # of a word at least: one patient's own word says nothing of others
_NUMERIC = 0.95  # share of values that are numbers, from which a column is one of numbers
# What a file or a header says that no finding can change: the class must not follow from it entirely.
_HARD_TAGS = frozenset(
    {
        *("manufacturer", "model", "station", "institution", "software", "character set", "transfer syntax"),
        *("quantisation", "sampling", "progressive", "compression", "resolution", "colour profile", "number type"),
        *("Adobe marker", "JFIF version", "form codes", "author"),
    }
)
# Said of a patient or of what was examined: it may be tied to a disease.
_PERSONAL = frozenset({"sex", "age", "body part", "view", "laterality", "contrast agent", "protocol", "description"})
_PLACES = {
    "sides": ("top", "bottom", "left", "right"),
    "corners": ("top left", "top right", "bottom left", "bottom right"),
    "peaks": ("top left", "top right", "bottom left", "bottom right"),
}
_SPOKEN = {
    "mean": "mean brightness",
    "deviation": "contrast (standard deviation of brightness)",
    "sharpness": "sharpness (mean step from pixel to pixel)",
    "colour": "strength of colours",
    "dark": "share of black pixels",
    "white": "share of white pixels",
    "border_mean": "brightness of the border",
    "border_deviation": "contrast of the border",
    "border_dark": "share of black in the border",
    "border_white": "share of white in the border",
    "sides": "brightness of the border, {}",
    "corners": "brightness of the corner, {}",
    "peaks": "brightest spot in the corner, {}",
    "edges": "sharp edges near the border",
    "marks": "number of small bright marks near the border",
    "mark_area": "area of small bright marks near the border",
}
_DATE = re.compile(
    r"(?:(?P<year>\d{4})[-/.](?P<month>\d{1,2})(?:[-/.](?P<day>\d{1,2}))?|(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}))"
    r"(?:[ t]\d{1,2}:\d{2}.*)?$"
)
_WORDS = 50  # of texts in a column that are counted
_WHOLE = ("mean", "deviation", "sharpness", "colour", "dark", "white")


@dataclass(frozen=True, eq=False)
class Nuisance:
    """One thing that is not the finding, or need not be.

    Attributes:
        name: As a sentence calls it: "the manufacturer in the header".
        family: `FILE`, `HEADER`, `NAME`, `FRAME_PART`, `BRIGHTNESS` or `COLUMN`.
        bins: int [n], the bin of each image, from 0 to `MOST_BINS` + 1.
        certain: Whether it is certainly no finding.
        hard: Whether the class must not follow from it entirely: files or devices of the classes would differ.
    """

    name: str
    family: str
    bins: np.ndarray
    certain: bool = True
    hard: bool = False


def list_nuisances(evidence: Evidence, owners: np.ndarray) -> list[Nuisance]:
    """Return what can be tested: things of which at least a few images differ from the others.

    Args:
        evidence: Of n images.
        owners: int [n], whose each image is.
    """
    most = int(np.clip((owners.max(initial=-1) + 1) // _IN_BIN, 2, MOST_BINS))
    found = [
        *_list_file_facts(evidence, owners, most),
        *_list_names(evidence, owners, most),
        *_list_frames(evidence, most),
        *_list_columns(evidence, owners, most),
    ]
    return [each for each in found if len(each.bins) - np.bincount(each.bins, minlength=1).max(initial=0) >= _LEAST]


def _list_file_facts(evidence: Evidence, owners: np.ndarray, most: int) -> Iterator[Nuisance]:
    files = evidence.files
    numbers = np.array([(file.bytes, file.height, file.width) for file in files], float).reshape(-1, 3)
    size, height, width = numbers.T
    with np.errstate(invalid="ignore", divide="ignore"):
        measured = {
            "size of the file": size,
            "bytes for each pixel": size / (height * width),
            "number of pixels": height * width,
            "ratio of width to height": width / height,
        }
    for place, name in enumerate(("height", "width")):
        measured[f"{name} of a pixel in millimetres"] = np.array(
            [np.nan if file.spacing is None else file.spacing[place] for file in files]
        )
    content = ("size of the file", "bytes for each pixel")  # a busy picture takes more bytes: it may be the finding
    for name, values in measured.items():
        yield Nuisance(name, FILE, bin_numbers(values[:, None], most)[:, 0], name not in content)
    words = {
        "format of the file": [file.format for file in files],
        "height and width in pixels": [f"{file.height} x {file.width}" for file in files],
        "bits of a sample": [str(file.bits) for file in files],
        "way of storing colours": [file.colours for file in files],
    }
    for name, texts in words.items():
        yield Nuisance(name, FILE, bin_words(texts, owners), hard=True)
    for tag in sorted({name for file in files for name in file.tags}):
        bins = bin_texts([file.tags.get(tag, "") for file in files], owners, most)
        yield Nuisance(f"{tag} in the header", HEADER, bins, tag not in _PERSONAL, tag in _HARD_TAGS)


def _list_names(evidence: Evidence, owners: np.ndarray, most: int) -> Iterator[Nuisance]:
    table = evidence.table
    spoken = {"beginning": "beginning of file names", "words": "words in file names", "ending": "ending of file names"}
    spoken |= {"folder": "folder of files", "length": "length of file names", "digits": "digits in file names"}
    for name, texts in describe_names(table.paths, table.texts, (*table.classes, *evidence.merged)).items():
        yield Nuisance(spoken.get(name, f"{name} in file names"), NAME, bin_texts(texts, owners, most))


def _list_frames(evidence: Evidence, most: int) -> Iterator[Nuisance]:
    names, columns = [], []
    for field in FRAME.names:
        if field == "ring":
            continue
        places = _PLACES.get(field, ("",))
        names += [(field, _SPOKEN[field].format(place)) for place in places]
        columns += list(evidence.frames[field].reshape(len(evidence), -1).T)
    bins = bin_numbers(np.array(columns, float).T, most)
    for (field, name), column in zip(names, bins.T, strict=True):
        whole = field in _WHOLE
        yield Nuisance(name, BRIGHTNESS if whole else FRAME_PART, column, not whole)


def _list_columns(evidence: Evidence, owners: np.ndarray, most: int) -> Iterator[Nuisance]:
    for name, texts in evidence.table.traits.items():
        if is_group(name):
            continue
        yield Nuisance(f"column {name!r}", COLUMN, bin_texts(texts, owners, most), certain=False)
        gaps = np.array([is_missing(text) for text in texts], int)
        if len(set(texts)) > 2 and 0 < gaps.sum() < len(gaps):  # of two values, the column itself tells it
            yield Nuisance(f"gaps in column {name!r}", COLUMN, gaps, certain=False)


def bin_numbers(values: np.ndarray, most: int) -> np.ndarray:
    """Return the bin of each number, int [n, m]: bins of about equal size in each column, one more for NaN.

    Args:
        values: float [n, m].
        most: How many bins of numbers.

    >>> bin_numbers(np.array([[1.0], [2.0], [3.0], [9.0], [np.nan]]), 2).ravel().tolist()
    [0, 0, 1, 1, 2]
    """
    if not len(values):
        return np.zeros(values.shape, int)
    known = np.isfinite(values)
    filled = np.where(known, values, np.nan)
    if not known.all():
        # A column without any number has no quantiles; 0 stands for them.
        filled = np.where(known.any(axis=0), filled, 0)
    edges = np.nanquantile(filled, np.arange(1, most) / most, axis=0, method="lower")
    bins = (filled[None] > edges[:, None]).sum(axis=0)
    return np.where(known, bins, most)


def bin_words(texts: Sequence[str], owners: np.ndarray) -> np.ndarray:
    """Return the bin of each text, int [n]: the most frequent ones have bins of their own, the others share one.

    A text counts as often as there are owners who have it, and must have two: that a patient has a word of his own says
    nothing about others.

    >>> bin_words(["a", "a", "b", "b", "c"], np.arange(5)).tolist()
    [1, 1, 2, 2, 0]
    """
    held = Counter(text for text, _ in dict.fromkeys(zip(texts, owners.tolist(), strict=True)))
    usual = [text for text, number in held.most_common(MOST_BINS) if number >= _OWNERS]
    numbers = {text: number for number, text in enumerate(usual, 1)}
    return np.array([numbers.get(text, 0) for text in texts], int)


def bin_texts(texts: Sequence[str], owners: np.ndarray, most: int) -> np.ndarray:
    """Return the bin of each text, int [n]: of numbers as `bin_numbers`, of words as `bin_words`, in one spelling.

    >>> bin_texts(["1", "01", "x", "x"], np.arange(4), 5).tolist()
    [1, 1, 2, 2]
    """
    kinds = {text: "" if is_missing(text) else spell(text) for text in set(texts)}
    plain = [kinds[text] for text in texts]
    numbers = _read_numbers(kinds)
    if len(set(plain)) <= MOST_BINS or numbers is None:
        return bin_words(plain, owners)
    return bin_numbers(np.array([numbers[text] for text in plain])[:, None], most)[:, 0]


def read_orders(evidence: Evidence, owners: np.ndarray) -> Iterator[tuple[Nuisance, np.ndarray]]:
    """Yield heights, widths, sizes and columns of many values as numbers, float [n, d], for a linear model.

    Bins of numbers or dates say less than their order, where the class changes with it slowly, or at one value; of a
    column of texts each has its own, so it is its frequent words that are counted.

    Args:
        evidence: Of n images.
        owners: int [n], whose each image is.
    """
    unbinned = np.zeros(len(evidence), int)
    for name in ("height", "width", "bytes"):
        values = np.array([getattr(file, name) for file in evidence.files], float)
        if len(values) - np.unique(values, return_counts=True)[1].max(initial=0) >= _LEAST:
            size = name == "bytes"
            spoken = "order of sizes of files" if size else f"order of {name}s in pixels"
            yield Nuisance(spoken, FILE, unbinned, certain=not size, hard=not size), _rank(values)
    for name, texts in evidence.table.traits.items():
        kinds = {text: "" if is_missing(text) else spell(text) for text in set(texts)}
        plain = [kinds[text] for text in texts]
        if is_group(name) or len(set(plain)) <= MOST_BINS:
            continue
        numbers = _read_numbers(kinds)
        if numbers is not None:
            values = np.array([numbers[text] for text in plain])
            yield Nuisance(f"order of column {name!r}", COLUMN, unbinned, certain=False), _rank(values)
            continue
        words = _count_words(texts, owners)
        if words is not None:
            yield Nuisance(f"words in column {name!r}", COLUMN, unbinned, certain=False), words


def _rank(values: np.ndarray) -> np.ndarray:
    """Return the ranks of numbers, float [n, 1]; those that are not known are in the middle."""
    known = np.isfinite(values)
    ranks = np.zeros(len(values))
    ranks[known] = stats.rankdata(values[known])
    ranks[~known] = ranks[known].mean()
    return ranks[:, None]


def _count_words(texts: Sequence[str], owners: np.ndarray) -> np.ndarray | None:
    """Return which frequent words each text has, float [n, d]; None if there are none."""
    owned = [{*re.findall(r"[^\W_]+", text.casefold())} for text in texts]
    held: dict[str, set[int]] = {}
    for words, owner in zip(owned, owners.tolist(), strict=True):
        for word in words:
            held.setdefault(word, set()).add(owner)
    usual = sorted((word for word in held if len(held[word]) >= _LEAST), key=lambda word: -len(held[word]))[:_WORDS]
    return np.array([[word in words for word in usual] for words in owned], float) if usual else None


def _read_numbers(kinds: Mapping[str, str]) -> dict[str, float] | None:
    """Return the number or the day that each text means, NaN for others; None if too few mean one."""
    found = {}
    for written, text in kinds.items():
        try:
            found[text] = float(text.rstrip("ymwd").replace(",", "."))  # ages in DICOM: 060Y; decimal commas
        except ValueError:
            found[text] = _read_date(written.strip().casefold())
    named = [number for text, number in found.items() if text]
    return found if named and np.isfinite(named).mean() >= _NUMERIC else None


def _read_date(text: str) -> float:
    """Return the day that a text means, as a number; NaN if it means none.

    Of 03/04/2020 it does not matter here which number is the month: dates of one column are written in one way, and
    their order by year stays.

    >>> _read_date("2020-03-02") - _read_date("2020-02-28"), _read_date("2.3.2020 10:15") - _read_date("2020/3/2")
    (3.0, 0.0)
    >>> _read_date("soon")
    nan
    """
    found = _DATE.match(text)
    if found is None:
        return np.nan
    year, month, day = (found["year"], found["month"], found["day"]) if found["year"] else found.group(6, 5, 4)
    if int(month) > 12:
        month, day = day, month
    try:
        return float(datetime.date(int(year), int(month), int(day or 1)).toordinal())
    except ValueError:
        return np.nan
