"""Columns of 0 and 1 that are labels: which are taken for such where nothing names them, and what -1 means there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tlmed.columns import is_blank
from tlmed.label_cells import KNOWN, UNCERTAIN, read_cell
from tlmed.label_texts import is_nothing
from tlmed.patient_columns import squeeze
from tlmed.source_layout import Layout
from tlmed.words import count, join_names, listed

# Columns of 0 and 1 that say something else of an image: of the patient, the view, or the division of the images.
_OTHERS = frozenset(
    (
        *("age", "sex", "gender", "male", "female", "ismale", "isfemale", "smoker", "smoking", "smokes"),
        *("frontal", "lateral", "view", "portable", "left", "right", "side", "laterality"),
        *("fold", "split", "train", "val", "valid", "validation", "test", "istrain", "isval", "istest"),
        *("group", "patient", "subject", "case", "study", "series", "site", "hospital", "scanner", "index", "id"),
    )
)

_NAMED = 5  # labels in a sentence


def infer_label_columns(
    columns: Sequence[str], rows: Sequence[Mapping[str, str | None]], layout: Layout, taken: Sequence[str]
) -> tuple[Layout, list[str]]:
    """Return the layout of a table whose labels stand in columns of 0 and 1 that nobody named, and what was taken.

    Two or more columns that hold nothing but 0, 1, -1 and blanks are taken for labels. Columns that by their names say
    something else stay what they are: `sex`, `fold`, `frontal`.

    Args:
        columns: The names in the header.
        rows: The cells of each row, by column.
        layout: What the user says: nothing of labels.
        taken: Columns that mean something else.

    Returns:
        The layout with `label_columns`, and a part of a sentence; the layout as it is, and nothing, where there are
        fewer than two such columns.
    """
    found = [
        name
        for name in columns
        if name not in taken and squeeze(name) not in _OTHERS and not is_nothing(name) and _holds_labels(rows, name)
    ]
    if len(found) < 2:
        return layout, []
    named = join_names(map(repr, found))
    said = f"the columns {named}, which hold 0 and 1, are taken for labels (`data.label_columns` names others)"
    return replace(layout, label_columns=tuple(found), several=True), [said]


def _holds_labels(rows, name) -> bool:
    cells = {(row.get(name) or "").strip() for row in rows}
    known = {cell for cell in cells if cell in KNOWN}
    return bool(known) and all(is_blank(cell) or read_cell(cell) is not None for cell in cells)


def count_uncertain(rows: Sequence[Mapping[str, str | None]], layout: Layout) -> list[str]:
    """Say of how many cells labels are uncertain, and what they are taken for; nothing where none is.

    They count as the truth, also in test images, unless they are taken as not known.

    Args:
        rows: The cells of each row, by column.
        layout: Its `label_columns`, and what -1 means there.

    >>> rows = [{"edema": "-1"}, {"edema": "1"}]
    >>> count_uncertain(rows, Layout(label_columns=("edema",), uncertain="positive"))
    ["-1 (uncertain) is taken for 1 in every split (1 cell of 'edema')"]
    """
    amounts = {
        name: sum((row.get(name) or "").strip() in UNCERTAIN for row in rows) for name in layout.label_columns or ()
    }
    named = [f"{count(number, 'cell')} of {name!r}" for name, number in amounts.items() if number]
    meant = {"ignore": "is not known", "positive": "is taken for 1", "negative": "is taken for 0"}[layout.uncertain]
    return [f"-1 (uncertain) {meant} in every split ({listed(named, _NAMED)})"] if named else []
