"""From texts that name several labels, such as `edema|effusion`, to a vector of labels for each image."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from tlmed.class_order import order_classes
from tlmed.columns import is_blank, suggest_spelling
from tlmed.data.table import Table
from tlmed.errors import InputError, did_you_mean
from tlmed.label_texts import DOUBT, POSITIVE, SEPARATOR, UNKNOWN, is_nothing, split_text
from tlmed.label_vectors import read_labels
from tlmed.source_layout import Layout
from tlmed.words import listed

_NAMED, _MANY = 3, 20
_ONE = "Every image has exactly one label. With task='single-label' a network predicts one class of several."


def have_several(texts: Collection[str], layout: Layout) -> bool:
    """Tell whether texts name several labels of an image, as a user says or as they look.

    They look so if one holds `|` and a part of it occurs in another, too: `edema|effusion` beside `effusion`.

    Args:
        texts: The label of each image, or each different one.
        layout: What the user says.

    >>> have_several(["edema|effusion", "effusion"], Layout()), have_several(["left|right", "both"], Layout())
    (True, False)
    """
    if layout.several is not None:
        return layout.several
    parts = [set(split_text(text)) for text in set(texts)]
    joined = [found for found in parts if len(found) > 1]
    return any(found & other for found in joined for other in parts if other is not found)


def spread(table: Table, layout: Layout) -> Table:
    """Return a table with a vector of labels for each image, where an image may have several labels; else as it is.

    Args:
        table: Whose classes are texts.
        layout: Which columns give labels, and whether an image may have several.

    Raises:
        InputError: A text names no labels, or there are fewer than two labels; classes are merged; or one label for
            each image is asked for where the source gives several.
    """
    if table.several and layout.several is False:
        raise InputError(
            f"`task` must be 'auto' or 'multi-label' for {table.source}, whose images have several labels."
        )
    if not table.several and not have_several(table.classes, layout):
        return table
    if layout.elsewhere and layout.vocabulary:
        return _fit(table, layout)
    names = layout.label_columns or table.several or layout.vocabulary or _find_names(table.classes)
    if faults := _find_faults(table, names, layout):
        raise InputError(faults)
    filled = _fill(table, names, read_labels(_list_texts(table), names, several=True))
    return filled if table.several or not _has_one_each(filled.labels) else replace(filled, notes=(*filled.notes, _ONE))


def _has_one_each(labels) -> bool:
    return bool(((labels == POSITIVE).sum(axis=1) == 1).all() and (labels != UNKNOWN).all())


def _list_texts(table) -> list[str]:
    return [table.classes[label] for label in table.labels.tolist()]


def _fill(table, names, labels) -> Table:
    """Return a table with vectors of labels; of each image something must be known."""
    if len(unknown := np.flatnonzero((labels == UNKNOWN).all(axis=1))):
        raise InputError(
            "An image must be known to have, or not to have, one of the labels. Received: nothing known of "
            f"{listed((table.paths[row] for row in unknown), _NAMED)}."
        )
    return replace(table, labels=labels, classes=tuple(names), several=None)


def _fit(table, layout) -> Table:
    """Return another source's table with the labels of a run: what it lacks is not known, what the run lacks is left
    out; both are named.
    """
    wanted, own = layout.vocabulary, table.several or tuple(_find_names(table.classes))
    lacking, more = ([name for name in one if name not in other] for one, other in ((wanted, own), (own, wanted)))
    faults = _find_text_faults(table)
    if len(lacking) == len(wanted):
        near = suggest_spelling(own[0], wanted) or did_you_mean(own[0], wanted) if own else ""
        rule = f"Images must have labels of the run ({listed(wanted)}).{near}"
        faults.append(f"{rule} Received: {listed(map(repr, own), _NAMED) or 'none'}, for data={table.source}.")
    if faults:
        raise InputError(faults)
    labels = read_labels(_list_texts(table), (*wanted, *more), several=True)[:, : len(wanted)]
    labels[:, [wanted.index(name) for name in lacking]] = UNKNOWN
    notes = (*table.notes, *_describe_others(table.source, lacking, more))
    return _fill(replace(table, notes=notes), wanted, labels)


def _describe_others(source, lacking, more) -> list[str]:
    """Say which labels of a run another source lacks, and which further ones it has."""
    found = {
        f"Labels of the run that data={source} does not have are not known there": lacking,
        f"Labels of data={source} that the run does not have are left out": more,
    }
    return [f"{said}: {listed(map(repr, names), _MANY)}." for said, names in found.items() if names]


def _find_names(texts: Sequence[str]) -> list[str]:
    return order_classes(part.removeprefix(DOUBT) for text in texts for part in split_text(text))


def _find_faults(table: Table, names: Sequence[str], layout: Layout) -> list[str]:
    where, faults = f"data={table.source}", []
    if layout.classes is not None:
        faults.append(f"`data.classes` must be None where images have several labels. Received: {where}.")
    faults += _find_text_faults(table)
    if barred := [name for name in names if SEPARATOR in name or name.startswith(DOUBT)]:
        rule = f"The name of a label must not hold {SEPARATOR!r} or begin with {DOUBT!r}: labels are written so."
        faults.append(f"{rule} Received: {listed(map(repr, barred), _NAMED)}, for {where}.")
    elif unknown := [name for name in _find_names(table.classes) if name not in names]:
        near = suggest_spelling(unknown[0], names) or did_you_mean(unknown[0], names)
        faults.append(f"Labels must be of {listed(names)}.{near} Received: {listed(map(repr, unknown), _NAMED)}.")
    if len(names) < 2:
        faults.append(f"Images with several labels need two labels or more. Received: {listed(names)}, for {where}.")
    return faults


def _find_text_faults(table: Table) -> list[str]:
    odd = [text for text in table.classes if not _is_whole(text)]
    rule = f"Labels must stand with {SEPARATOR!r} between them and none be empty, and 'No Finding' must stand alone."
    return [f"{rule} Received: {listed(map(repr, odd), _NAMED)}, for data={table.source}."] if odd else []


def _is_whole(text: str) -> bool:
    parts = [part.strip() for part in text.split(SEPARATOR)]
    alone = len(parts) == 1 or not any(map(is_nothing, parts))
    names = [part.removeprefix(DOUBT) for part in parts]
    return alone and len(set(names)) == len(names) and not any(map(is_blank, names))
