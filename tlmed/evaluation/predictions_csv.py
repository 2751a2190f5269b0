"""Tables of predictions: `predictions.csv` of a run, and tables that other programs wrote."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tlmed import whole_files
from tlmed.class_order import order_classes
from tlmed.columns import BY_NAME, Grouping, name_spellings
from tlmed.evaluation.prediction_rows import (
    CALIBRATED,
    NOTE,
    SCORE,
    UNUSUAL,
    Fault,
    Rows,
    find_form_faults,
    find_place_faults,
    form_row,
    is_single,
    name_lines,
    name_texts,
    pick,
    raise_faults,
    read_rows,
    read_surroundings,
    say_columns,
)
from tlmed.evaluation.predictions import Predictions, predict_classes
from tlmed.label_texts import SEPARATOR
from tlmed.metrics import positive_index
from tlmed.tasks import ORDINAL, SINGLE_LABEL

_OURS = ("path", "split", "label", "prediction", "fold")


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write `predictions.csv`, whole or not at all; scores keep every bit.

    Single precision, which networks compute in, has nine digits: half of what double precision takes.
    """
    names, groups, calibrated = predictions.classes, predictions.groups, predictions.calibrated
    tables = {SCORE: predictions.scores} | ({} if calibrated is None else {CALIBRATED: calibrated})
    texts = zip(
        predictions.paths,
        predictions.splits,
        [names[label] for label in predictions.labels],
        [names[guess] for guess in predictions.predictions],
        strict=True,
    )
    numbers = zip(*map(_to_texts, tables.values()), strict=True)
    owners = ((),) * len(predictions.paths) if groups is None else ((group,) for group in groups)
    header = ("path", "split", "label", "prediction", *(kind + name for kind in tables for name in names))
    with whole_files.atomic(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.write(whole_files.format_csv((*header, *(("group",) if groups is not None else ())), ()))
        for row, scores, owner in zip(texts, numbers, owners, strict=True):
            after = [_to_line(owner)] if owner else []
            file.write(",".join([_to_line(row), *scores, *after]) + "\n")


def _to_line(fields) -> str:
    return whole_files.format_csv(fields, ()).removesuffix("\n")


def _to_texts(numbers) -> Iterator[str]:
    """Yield the rows of a table with commas between, so that they read back as the same numbers."""
    numbers = np.asarray(numbers, dtype=float)
    form = form_row(numbers.shape[1]) if is_single(numbers) else ",".join(["%r"] * numbers.shape[1])
    return (form % tuple(row) for row in numbers.tolist())


def read_predictions(
    path: str | Path,
    grouping: Grouping = BY_NAME,
    positive: str | None = None,
    order: Sequence[str] | None = None,
    task: str = SINGLE_LABEL,
) -> Predictions:
    """Read predictions from any CSV with the columns `path`, `label` and `score_<class>` for every class.

    The columns `split` and `prediction` may be missing: then every row belongs to "test", and the prediction is the
    positive one of two classes where its score reaches 0.5, of several the one with the highest score, and of ordered
    ones the median, by calibrated scores if there are any. Nothing depends on the order of the columns: classes are in
    that of `order_classes`. A split may be spelled as people do ("Training", "valid"). Also missing may be the column
    that names the group of each image, which is found by the rule of `find_group`, and `calibrated_<class>` for every
    class. Columns of other names are traits of the images.

    Args:
        path: The file, UTF-8, with or without a byte order mark.
        grouping: Which column names the groups.
        positive: The positive of two classes, by default the second in the order of classes.
        order: The classes in another order. Used where these are the classes of the file: otherwise whoever compares
            the classes names the difference.
        task: What was asked, of `tlmed.tasks`.

    Raises:
        InputError: With every fault of the file: columns or classes that are missing, rows of another length,
            scores that are no probabilities or do not sum to 1 (within 1e-3), paths that occur twice, unknown splits,
            predictions of several folds; and with rows that name no group where others do.
    """
    path, rows = Path(path), read_rows(Path(path))
    raise_faults(path, _find_header_faults(rows))
    classes, columns = rows.list_after(SCORE), rows.columns
    tables = {kind: rows.read_table(kind, classes) for kind in rows.tables}
    others = [name for name in rows.names if name not in (*_OURS, NOTE, UNUSUAL)]
    raise_faults(path, _find_faults(rows, others, classes, tables))
    ordered = tuple(order if order is not None and sorted(order) == sorted(classes) else order_classes(classes))
    places = [classes.index(name) for name in ordered]
    classes, tables = ordered, {kind: table[:, places] for kind, table in tables.items()}
    numbers = {name: number for number, name in enumerate(classes)}
    guesses = columns.get("prediction")
    found = read_surroundings(path, rows, others, grouping)
    if guesses is None:
        decisive = tables.get(CALIBRATED, tables[SCORE]) if task == ORDINAL else tables[SCORE]
        predicted = predict_classes(decisive, positive_index(classes, positive), task=task)
    else:
        predicted = np.array([numbers[name] for name in guesses])
    notes = (
        *found.of_groups,
        *name_spellings(classes, "classes"),
        *found.of_traits,
        *(_describe_unused_guesses(found.traits, classes) if guesses is None else ()),
    )
    return Predictions(
        columns["path"],
        found.splits,
        np.array([numbers[name] for name in columns["label"]]),
        tables[SCORE],
        predicted,
        classes,
        found.groups,
        tables.get(CALIBRATED),
        found.traits,
        notes,
        by_scores=guesses is None,
        task=task,
    )


def _describe_unused_guesses(columns, classes) -> list[str]:
    """Say that a column of another name seems to hold predictions, in a file that has none of the right name."""
    names = [name for name, texts in columns.items() if len(set(texts)) > 1 and set(texts) <= set(classes)]
    return [
        f"Column {name!r} holds classes, which are not taken for predictions: these are read from `prediction`."
        for name in names
    ]


def _find_header_faults(rows: Rows) -> list[Fault]:
    columns, classes = say_columns(rows), rows.list_after(SCORE)
    needed = {"path": "", "label": ", or `label_<class>` for each class where an image may have several labels"}
    faults = [
        (f"The file must have the column `{name}`{other}", columns)
        for name, other in needed.items()
        if name not in rows.header
    ]
    if len(classes) < 2:
        faults.append((f"The file must have a column `{SCORE}<class>` for each of two classes or more", columns))
    calibrated = set(rows.list_after(CALIBRATED))
    if calibrated and calibrated != set(classes):
        faults.append(
            (f"The file must have a column `{CALIBRATED}<class>` for every class with scores, or none", columns)
        )
    return faults + find_form_faults(rows, _OURS)


def _find_faults(rows, others, classes, tables) -> list[Fault]:
    columns = rows.columns
    faults = [fault for prefix, table in tables.items() for fault in _find_score_faults(rows.lines, prefix, table)]
    faults += find_place_faults(rows.lines, columns, others)
    for column in [name for name in ("label", "prediction") if name in columns]:
        rule = f"`{column}` must be a class with scores ({', '.join(classes)})"
        if any(SEPARATOR in text for text in columns[column]):
            rule += f"; where an image may have several labels, each has a column `{column}_<class>`"
        faults += name_texts(rule, rows, columns[column], classes)
    return faults


def _find_score_faults(lines, prefix, scores) -> list[Fault]:
    outside = ~((scores >= -1e-3) & (scores <= 1 + 1e-3)).all(axis=1)  # true of NaN too
    with np.errstate(invalid="ignore"):  # of infinities, which are outside already
        uneven = ~outside & (np.abs(scores.sum(axis=1) - 1) > 1e-3)
    return [
        *name_lines(f"`{prefix}<class>` must be finite probabilities, 0 to 1", pick(lines, outside)),
        *name_lines(f"`{prefix}<class>` of a row must sum to 1, within 0.001", pick(lines, uneven)),
    ]
