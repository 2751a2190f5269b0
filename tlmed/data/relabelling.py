"""Classes that a recipe makes of the labels of a source: merged, renamed, or some of them left out."""

from collections import Counter
from dataclasses import replace

import numpy as np

from tlmed.class_order import order_classes
from tlmed.columns import suggest_spelling
from tlmed.data.table import Table, check_classes
from tlmed.errors import InputError, did_you_mean
from tlmed.source_layout import Layout
from tlmed.tasks import find_order_faults
from tlmed.words import count, listed


def relabel(table: Table, layout: Layout, fewest: int = 2) -> Table:
    """Return a table with the classes that a recipe wants, in its order; without such a wish as it is.

    Args:
        table: Whose classes are the labels of the source.
        layout: Which labels make up which class, and the order of classes. A label that makes up none is left out,
            counted and named.
        fewest: Classes that must be left.

    Raises:
        InputError: A wanted label or class does not occur, or the order lacks one, unless the source is another one
            than the recipe's; or too few classes are left.
    """
    return _arrange(_divide(table, layout, fewest), layout)


def _arrange(table, layout) -> Table:
    """Return a table with its classes in the order of a layout. Another source may lack a class: it then keeps its own
    order, and whoever compares its classes with those of the run names the difference.
    """
    order, classes = layout.order, table.classes
    if order is None or (layout.elsewhere and {*order} != {*classes}):
        return table
    if faults := find_order_faults(order, classes):
        raise InputError([f"`data.order` {fault}, for data={table.source}." for fault in faults])
    numbers = np.array([order.index(name) for name in classes], np.int64)
    return replace(table, labels=numbers[table.labels], classes=order)


def _divide(table, layout, fewest) -> Table:
    if layout.classes is None:
        return table
    if not layout.elsewhere and (faults := _find_faults(table, layout)):
        raise InputError(faults)
    names = [layout.name_class(label) for label in table.classes]
    classes = tuple(order_classes(name for name in names if name is not None))
    numbers = np.array([-1 if name is None else classes.index(name) for name in names], np.int64)[table.labels]
    kept = np.flatnonzero(numbers >= 0)
    told = _describe(table, names)
    made = replace(table.take(kept), labels=numbers[kept], classes=classes, notes=(*table.notes, *told))
    check_classes(made, fewest)
    return made


def _find_faults(table: Table, layout: Layout) -> list[str]:
    """Return a sentence for each wanted label that the source does not have."""
    return [
        f"`data.classes` must name labels of the data."
        f"{suggest_spelling(label, table.classes) or did_you_mean(label, table.classes)} "
        f"Received: {label!r} of the class {name!r}, for data={table.source} with {listed(table.classes)}."
        for name, labels in layout.classes.items()
        for label in labels
        if label not in table.classes
    ]


def _describe(table: Table, names: list[str | None]) -> tuple[str, ...]:
    """Say what each class is made of, and what is left out."""
    numbers = Counter(table.labels.tolist())
    parts: dict[str | None, list[str]] = {}
    for index, name in enumerate(names):
        parts.setdefault(name, []).append(f"{table.classes[index]!r} ({numbers[index]:,})")
    unwanted = parts.pop(None, [])
    made = "; ".join(f"{name!r} is {' and '.join(labels)}" for name, labels in sorted(parts.items()))
    rest = sum(numbers[index] for index, name in enumerate(names) if name is None)
    left = (f"Left out, as `data.classes` names none of their labels: {count(rest, 'image')} of {listed(unwanted)}.",)
    return (f"Classes by `data.classes`: {made}.", *(left if unwanted else ()))
