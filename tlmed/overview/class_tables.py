"""Tables of sizes, kinds and intensities, by class and by split: the numbers beside the plots."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tlmed.overview.measures_of_images import LEVELS, Measures
from tlmed.tabulation import Table, numbers, texts
from tlmed.words import count, percent

MOST_ROWS = 10  # sizes that a table lists
MOST_COLUMNS = 5  # classes that have a column of their own
_PERCENTILES = (1, 50, 99)


def tabulate_sizes(measures: Measures, members: Mapping[str, np.ndarray]) -> Table:
    """Return how many images of each class have which size, the most common ones first.

    Args:
        measures: Of the images.
        members: Names of the classes to which of the images are of it, bool [n].
    """
    sizes = [f"{height} x {width}" for height, width in zip(measures.heights, measures.widths, strict=True)]
    return _count_by_class("Height x width", sizes, members)


def tabulate_spans(measures: Measures, parts: Mapping[str, np.ndarray]) -> Table:
    """Return the smallest, the median and the largest height and width of some images.

    Args:
        measures: Of the images.
        parts: Titles to which of the images, bool [n].
    """
    rows = [
        (name, f"{chosen.sum():,}", _say_span(measures.heights[chosen]), _say_span(measures.widths[chosen]))
        for name, chosen in parts.items()
    ]
    return Table(texts("Of") + numbers("images", "height", "width"), rows, footnote="Smallest, median and largest.")


def _say_span(sides: np.ndarray) -> str:
    return " / ".join(f"{value:,.6g}" for value in (sides.min(), np.median(sides), sides.max()))


def tabulate_kinds(measures: Measures, members: Mapping[str, np.ndarray]) -> Table:
    """Return how many images of each class have how many bits, and colours or none."""
    kinds = [
        f"{count(int(bits), 'bit')}, {'gray' if gray else 'colour'}"
        for bits, gray in zip(measures.bits, measures.gray, strict=True)
    ]
    return _count_by_class("In the file", kinds, members)


def tabulate_shown(measures: Measures, members: Mapping[str, np.ndarray]) -> Table:
    """Return of how many images of each class which values are shown."""
    shown = [words or "8 bits, as they are" for words in measures.shown]
    return _count_by_class("Values that are shown", shown, members)


def _count_by_class(title: str, keys: Sequence[str], members: Mapping[str, np.ndarray]) -> Table:
    columns = members if len(members) <= MOST_COLUMNS else {}
    whole, places = Counter(keys), np.array(keys, dtype=object)
    rows = [
        (
            key,
            *(f"{(own & (places == key)).sum():,}" for own in columns.values()),
            f"{number:,}",
            percent(number / len(keys)),
        )
        for key, number in sorted(whole.items(), key=lambda item: (-item[1], item[0]))
    ]
    rest = len(rows) - MOST_ROWS
    notes = [f"{rest:,} less common {'value is' if rest == 1 else 'values are'} not listed."] if rest > 0 else []
    return Table(texts(title) + numbers(*columns, "all", "share"), rows[:MOST_ROWS], notes)


def tabulate_levels(measures: Measures, parts: Mapping[str, np.ndarray]) -> Table:
    """Return what levels, 0 to 255, the pixels of some images have as a network gets them; each image counts the same.

    Args:
        measures: Of the images.
        parts: Titles to which of the images, bool [n].
    """
    steps, rows = np.arange(LEVELS), []
    for name, chosen in parts.items():
        shares = measures.levels[chosen].mean(axis=0, dtype=np.float64)
        mean = shares @ steps
        spread = np.sqrt(shares @ (steps - mean) ** 2)
        median = int(np.searchsorted(np.cumsum(shares), 0.5 * shares.sum()))
        black, white = percent(shares[0]), percent(shares[-1])
        rows.append((name, f"{chosen.sum():,}", f"{mean:.1f}", f"{spread:.1f}", f"{median}", black, white))
    return Table(texts("Of") + numbers("images", "mean", "SD", "median", "at 0", "at 255"), rows)


def tabulate_stored(measures: Measures, parts: Mapping[str, np.ndarray]) -> Table:
    """Return what values the pixels of some images have in their files; each image counts the same.

    Args:
        measures: Of the images.
        parts: Titles to which of the images, bool [n].
    """
    rows = []
    for name, chosen in parts.items():
        found = np.percentile(measures.stored[chosen], _PERCENTILES)
        values = (measures.lowest[chosen].min(), *found, measures.highest[chosen].max())
        rows.append((name, f"{chosen.sum():,}", *(f"{value:,.6g}" for value in values)))
    percentiles = [f"{percentile} %" for percentile in _PERCENTILES]
    return Table(texts("Of") + numbers("images", "lowest", *percentiles, "highest"), rows)
