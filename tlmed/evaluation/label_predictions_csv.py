"""Tables of predictions of several labels per image: the columns `label_`, `prediction_` and `score_` of each label."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tlmed import whole_files
from tlmed.columns import BY_NAME, Grouping, name_spellings
from tlmed.evaluation.prediction_rows import (
    CALIBRATED,
    NOTE,
    SCORE,
    UNUSUAL,
    Fault,
    find_form_faults,
    find_place_faults,
    form_row,
    is_single,
    list_after,
    name_lines,
    name_texts,
    pick,
    raise_faults,
    read_rows,
    read_surroundings,
    say_columns,
)
from tlmed.evaluation.predictions import HALF, Predictions, predict_classes
from tlmed.label_cells import KNOWN, UNCERTAIN, read_cell
from tlmed.label_texts import UNKNOWN
from tlmed.tasks import MULTI_LABEL
from tlmed.words import listed

LABEL, PREDICTION = "label_", "prediction_"
_OURS = ("path", "split", "fold", NOTE, UNUSUAL)
_KINDS = {
    SCORE: f"a column `{SCORE}<class>` for every `{LABEL}<class>`",
    LABEL: f"a column `{LABEL}<class>` for every `{SCORE}<class>`",
    PREDICTION: f"a column `{PREDICTION}<class>` for every label, or none",
    CALIBRATED: f"a column `{CALIBRATED}<class>` for every label, or none",
}


def write_label_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write `predictions.csv`, whole or not at all; a label that is not known is empty, and scores keep every bit."""
    names, groups, calibrated = predictions.classes, predictions.groups, predictions.calibrated
    tables = {
        LABEL: [["" if value == UNKNOWN else value for value in row] for row in predictions.labels.tolist()],
        PREDICTION: predictions.predictions.tolist(),
        SCORE: _write_numbers(predictions.scores),
        **({} if calibrated is None else {CALIBRATED: _write_numbers(calibrated)}),
    }
    header = ["path", "split", *(kind + name for kind in tables for name in names)]
    header += [] if groups is None else ["group"]
    owners = ((),) * len(predictions.paths) if groups is None else ((group,) for group in groups)
    parts = zip(predictions.paths, predictions.splits, zip(*tables.values(), strict=True), owners, strict=True)
    rows = ((place, split, *(cell for part in cells for cell in part), *owner) for place, split, cells, owner in parts)
    whole_files.write_csv(Path(path), header, rows)


def _write_numbers(numbers) -> list[list[str]]:
    """Return numbers as texts that read back as the same: single precision needs nine digits, double 17."""
    numbers = np.asarray(numbers, dtype=float)
    form = form_row(1) if is_single(numbers) else "%.17g"
    return [[form % number for number in row] for row in numbers.tolist()]


def have_labels(header: Sequence[str]) -> bool:
    """Tell whether a table is of several labels per image: whether it has a column for each label, not one for all.

    Beside `label`, a column such as `label_source` says something else, unless there are scores of that name, too.

    >>> have_labels(["path", "label_edema"]), have_labels(["path", "label", "label_source", "score_edema"])
    (True, False)
    """
    labels = set(list_after(header, LABEL))
    return bool(labels if "label" not in header else labels & set(list_after(header, SCORE)))


def read_label_predictions(
    path: str | Path, classes: Sequence[str] | None = None, grouping: Grouping = BY_NAME
) -> Predictions:
    """Read predictions of several labels per image from any CSV with `path`, and `label_` and `score_` of each label.

    A label is 1 where the image has it, 0 where it has not, and blank or -1 where that is not known. `prediction_` of
    each label may be missing: a label is then predicted where its score reaches 0.5. The columns `split`,
    `calibrated_<class>`, the one of groups and all others are as for `read_predictions`.

    Args:
        path: The file.
        classes: The names of the labels, in order; None: as they come in the file.
        grouping: Which column names the groups.

    Raises:
        InputError: With every fault of the file: columns that are missing, labels that are none, rows of which no label
            is known, and as for `read_predictions`.
    """
    path, rows = Path(path), read_rows(Path(path))
    names = tuple(rows.list_after(LABEL) if classes is None else classes)
    raise_faults(path, _find_header_faults(rows, names))
    cells = {kind: _pick_cells(rows, kind, names) for kind in (LABEL, PREDICTION) if rows.list_after(kind)}
    tables = {kind: rows.read_table(kind, names) for kind in rows.tables}
    others = [name for name in rows.names if not _is_ours(name)]
    raise_faults(path, _find_faults(rows, others, cells, tables))
    found = read_surroundings(path, rows, others, grouping)
    guesses = cells.get(PREDICTION)
    return Predictions(
        rows.columns["path"],
        found.splits,
        _read_cells(cells[LABEL]),
        tables[SCORE],
        predict_classes(tables[SCORE], None, HALF, MULTI_LABEL) if guesses is None else _read_cells(guesses),
        names,
        found.groups,
        tables.get(CALIBRATED),
        found.traits,
        (*found.of_groups, *name_spellings(names, "labels"), *_describe_doubt(cells[LABEL]), *found.of_traits),
        by_scores=guesses is None,
        task=MULTI_LABEL,
    )


def _is_ours(column) -> bool:
    return column in _OURS or column.startswith((LABEL, PREDICTION))


def _pick_cells(rows, kind, names) -> dict[str, tuple[str, ...]]:
    """Return the cells of each label, by the names of columns."""
    columns = rows.columns
    return {kind + name: tuple(map(str.strip, columns[kind + name])) for name in names}


def _read_cells(cells: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return labels, int [n, k], from the cells of each of k columns."""
    values = {text: read_cell(text) for texts in cells.values() for text in set(texts)}
    return np.array([[values[text] for text in texts] for texts in cells.values()]).T


def _describe_doubt(cells) -> list[str]:
    """Say that a label of -1 counts as one that is not known."""
    doubtful = {name: sum(text in UNCERTAIN for text in texts) for name, texts in cells.items()}
    if not (named := [f"{number:,} in `{name}`" for name, number in doubtful.items() if number]):
        return []
    return [f"Labels of -1 are uncertain and count as not known: {listed(named)}."]


def _find_header_faults(rows, names) -> list[Fault]:
    columns = say_columns(rows)
    faults = [] if "path" in rows.header else [("The file must have the column `path`", columns)]
    for kind in (LABEL, PREDICTION):
        if (alone := kind.removesuffix("_")) in rows.header:
            rule = f"The file must have `{alone}` for one class per image, or `{kind}<class>` of each label for several"
            faults.append((rule, f"`{alone}` beside {listed([f'`{LABEL}{name}`' for name in names], 3)}"))
    if len(names) < 2:
        rule = f"The file must have `{LABEL}<class>` of two labels or more; one label is two classes, with `label`"
        faults.append((f"{rule} and `{SCORE}<class>` of each", columns))
    for kind, rule in _KINDS.items():
        found = rows.list_after(kind)
        wanted = dict.fromkeys((*names, *rows.list_after(SCORE))) if kind == LABEL else names
        lacking = [f"`{kind}{name}`" for name in wanted if name not in found]
        if lacking and (found or kind in (SCORE, LABEL)):
            faults.append((f"The file must have {rule}", f"no {listed(lacking, 3)}"))
    return faults + find_form_faults(rows, _OURS)


def _find_faults(rows, others, cells, tables) -> list[Fault]:
    faults = [
        fault
        for kind, table in tables.items()
        for name, column in zip(cells[LABEL], table.T, strict=True)
        for fault in name_lines(
            f"`{kind}{name.removeprefix(LABEL)}` must be a probability, 0 to 1",
            pick(rows.lines, ~((column >= 0) & (column <= 1))),  # true of NaN too
        )
    ]
    faults += find_place_faults(rows.lines, rows.columns, others)
    for name, texts in cells[LABEL].items():
        right = {text for text in set(texts) if read_cell(text) is not None}
        faults += name_texts(f"`{name}` must be 0, 1, or blank where it is not known", rows, texts, right)
    for name, texts in cells.get(PREDICTION, {}).items():
        faults += name_texts(f"`{name}` must be 0 or 1", rows, texts, KNOWN)
    rule = f"A row must say 0 or 1 of one of its labels or more, and of {len(cells[LABEL])} nothing is known"
    blank = {text for texts in cells[LABEL].values() for text in set(texts) if read_cell(text) == UNKNOWN}
    nothing = [blank.issuperset(texts) for texts in zip(*cells[LABEL].values(), strict=True)]
    return faults + name_lines(rule, pick(rows.lines, nothing))
