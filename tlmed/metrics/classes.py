"""Which class is the positive one, and why."""

import shlex
from collections.abc import Sequence

from tlmed.class_order import order_classes
from tlmed.errors import InputError, did_you_mean
from tlmed.metrics.healthy_names import denies, sounds_healthy


def positive_index(classes: Sequence[str], positive: str | None = None) -> int | None:
    """Return which of two classes is the positive one; None if there are more than two.

    Args:
        classes: The names of the classes, in the order of the scores.
        positive: The positive class, by default the second of two in the order of `order_classes`.

    Raises:
        InputError: If `positive` is not one of the classes, or is given for more than two.

    >>> positive_index(["malignant", "benign"]), positive_index(["a", "b", "c"])
    (0, None)
    >>> positive_index(["10", "2.5"]), positive_index(["-2", "-1"])
    (0, 1)
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


def say_positive(classes: Sequence[str], positive: str | None, asked: bool = False, form: str = "{}") -> str:
    """Return the name of the positive class of two, and why it is that one; "" where there is none.

    Args:
        classes: The names of the classes.
        positive: The name of the positive one; None: there are more than two.
        asked: Whether the user named it; older versions of tlmed did not record that.
        form: A format string with one `{}`, for words around it.

    >>> say_positive(["benign", "malignant"], "malignant"), say_positive(["benign", "malignant"], "benign")
    ('malignant, the second in sorted order', 'benign, as asked for')
    >>> say_positive(["benign", "malignant"], "malignant", asked=True)
    'malignant, as asked for'
    >>> say_positive(["abnormal", "normal"], "normal")
    'normal, the second in sorted order, though its name sounds like the healthy one'
    """
    if positive is None:
        return ""
    if asked or positive != classes[positive_index(classes)]:
        return form.format(f"{positive}, as asked for")
    doubt = _doubt_default(classes)
    return form.format(f"{positive}, the second in sorted order{f', though its name {doubt}' if doubt else ''}")


def _doubt_default(classes) -> str:
    """Return why the class that is positive by default may not be the one that is looked for; "" where it may well."""
    main = positive_index(classes)
    name, other = classes[main], classes[1 - main]
    if sounds_healthy(name):
        return "sounds like the healthy one"
    # What is not healthy is what one looks for.
    lacks = denies(name, other) and not sounds_healthy(other)
    return "says that what the other one has is missing" if lacks else ""


def describe_default(classes: Sequence[str], positive: str | None, option: str = "--positive") -> list[str]:
    """Return a sentence if the class that is positive by default sounds like the healthy one, or lacks something.

    Args:
        classes: The names of the classes.
        positive: The positive class that was asked for; None: the default.
        option: The option that makes the other class positive.

    >>> print(describe_default(["abnormal", "normal"], None)[0].partition("order, ")[2])
    and its name sounds like the healthy one. If 'abnormal' is what is looked for: `--positive abnormal`.
    >>> describe_default(["abnormal", "normal"], "normal"), describe_default(["healthy", "sick"], None)
    ([], [])
    """
    main = positive_index(classes) if positive is None else None
    if main is None or not (doubt := _doubt_default(classes)):
        return []
    other = classes[1 - main]
    return [
        f"The positive class is {classes[main]!r}, by default the second in sorted order, and its name {doubt}. "
        f"If {other!r} is what is looked for: `{option} {shlex.quote(other)}`."
    ]
