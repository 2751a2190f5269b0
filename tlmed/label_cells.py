"""Columns of a table that hold 0 or 1 for one label each, as the one text that stands for all labels of an image."""

from collections.abc import Mapping

from tlmed.columns import is_blank
from tlmed.label_texts import NEGATIVE, POSITIVE, UNKNOWN, write_vector

KNOWN = {"0": NEGATIVE, "0.0": NEGATIVE, "1": POSITIVE, "1.0": POSITIVE}
UNCERTAIN = ("-1", "-1.0")  # of CheXpert's reports
_MEANING = {"ignore": UNKNOWN, "positive": POSITIVE, "negative": NEGATIVE}


def join_cells(cells: Mapping[str, str], uncertain: str) -> tuple[str, str]:
    """Return the text of an image's labels, and the cells that are none of 0, 1, -1 and blank; "" for none.

    Args:
        cells: What stands in the column of each label.
        uncertain: What -1 means: "ignore", "positive" or "negative".

    >>> join_cells({"edema": "1", "mass": "-1"}, "ignore"), join_cells({"edema": "1", "mass": "yes"}, "ignore")
    (('edema|?mass', ''), ('edema|?mass', "mass='yes'"))
    """
    values = {name: read_cell(text, uncertain) for name, text in cells.items()}
    odd = ", ".join(f"{name}={cells[name]!r}" for name, value in values.items() if value is None)
    return write_vector([UNKNOWN if value is None else value for value in values.values()], list(values)), odd


def read_cell(text: str, uncertain: str = "ignore") -> int | None:
    """Return 1, 0, or -1 where a label is not known; None where a cell says none of this.

    Args:
        text: The cell.
        uncertain: As for `join_cells`.

    >>> read_cell("1.0"), read_cell("nan"), read_cell("yes")
    (1, -1, None)
    """
    if text in UNCERTAIN:
        return _MEANING[uncertain]
    return UNKNOWN if is_blank(text) else KNOWN.get(text)
