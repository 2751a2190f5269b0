"""Which class is the positive one."""

from collections.abc import Sequence

from tlmed.columns import order_classes
from tlmed.errors import InputError, did_you_mean


def positive_index(classes: Sequence[str], positive: str | None = None) -> int | None:
    """Return which of two classes is the positive one; None where there are more than two.

    Args:
        classes: The names of the classes, in the order of the scores.
        positive: The positive class, by default the second of two in the order of `order_classes`.

    Raises:
        InputError: If `positive` is not one of the classes, or is given for more than two.

    >>> positive_index(["malignant", "benign"]), positive_index(["a", "b", "c"])
    (0, None)
    >>> positive_index(["9", "10"])
    1
    """
    names = list(classes)
    if positive is not None and positive not in names:
        raise InputError(
            f"`positive` must be one of {', '.join(map(repr, names))}.{did_you_mean(positive, names)} "
            f"Received: positive={positive!r}."
        )
    if positive is not None and len(names) != 2:
        raise InputError(
            f"`positive` needs exactly two classes; of {len(names)}, each is scored against the rest. "
            f"Received: positive={positive!r}."
        )
    if len(names) != 2:
        return None
    return names.index(order_classes(names)[1] if positive is None else positive)
