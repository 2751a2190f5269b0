"""The order of class names: of grades by their size, else as text."""

import re
from collections.abc import Iterable
from decimal import Decimal

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def order_classes(names: Iterable[str]) -> list[str]:
    """Return class names in order: numbers by their size, others as text.

    >>> order_classes(["10", "2.5", "-1"]), order_classes(["b", "a", "10"])
    (['-1', '2.5', '10'], ['10', 'a', 'b'])
    """
    names = sorted(set(names))
    return sorted(names, key=Decimal) if are_numbers(names) else names


def are_numbers(names: Iterable[str]) -> bool:
    """Tell whether all class names are numbers, such as grades.

    >>> are_numbers(["-1", "0", "2.5"]), are_numbers(["1", "2a"]), are_numbers(["inf", "1e3"])
    (True, False, False)
    """
    return all(map(_NUMBER.fullmatch, names))
