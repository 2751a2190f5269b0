"""What an advice aims at: the metric by which options are compared, and what the answer has to reach."""

import re
from dataclasses import dataclass

from tlmed.errors import InputError, did_you_mean

# By which `tlmed compare` tests the difference of two runs, and of which higher is better.
KAPPA = "quadratic_kappa"  # of grades alone
_METRICS = ("auc", "accuracy", "f1", KAPPA)
_SIDES = ("sensitivity", "specificity")
_GOAL = re.compile(r"([a-z_0-9]+)\s*(?:>=\s*([0-9.]+))?")
_ABOVE = re.compile(rf"({'|'.join((*_METRICS, *_SIDES))})\s*>\s*([0-9.]+)")
_OTHER = re.compile(rf"({'|'.join((*_METRICS, *_SIDES))})\s*(?!>=)[<>=≤].*")  # sensitivity<=0.9
_FORMS = (
    f"one of {', '.join(_METRICS)}, also with a least value such as auc>=0.9, or sensitivity>=0.95 or specificity>=0.95"
)


@dataclass(frozen=True)
class Goal:
    """What an advice aims at.

    Attributes:
        text: As a user wrote it, in small letters and without spaces.
        metric: By which options are compared.
        least: What `target` has to reach; None: as much as possible.
        target: The metric that has to reach it.
        threshold: The recipe's rule for the threshold; None: its default.
    """

    text: str
    metric: str
    least: float | None
    target: str
    threshold: str | None = None


def read_goal(text: str) -> Goal:
    """Return the goal that a text names.

    A sensitivity or specificity to be reached decides the threshold; options are compared by the AUC all the same: the
    specificity at a fixed sensitivity rests on the few images near that threshold, and its noise would decide.

    Args:
        text: Such as `auc`, `auc>=0.9` or `sensitivity>=0.95`.

    Raises:
        InputError: If it names no metric that options can be compared by, or no share.

    >>> read_goal("auc>=0.9").least, read_goal("sensitivity>=0.95").metric
    (0.9, 'auc')
    >>> read_goal("AUC >= 0.9") == read_goal("auc≥0.9") == read_goal("auc>=0.9")
    True
    >>> read_goal("auc > 0.9")
    Traceback (most recent call last):
    tlmed.errors.InputError: `--goal` takes a least value after >=, not after >: auc>=0.9. Received: 'auc > 0.9'.
    """
    words = text.strip().lower().replace("≥", ">=")
    if above := _ABOVE.fullmatch(words):
        raise InputError(
            f"`--goal` takes a least value after >=, not after >: {above[1]}>={above[2]}. Received: {text!r}."
        )
    if other := _OTHER.fullmatch(words):
        raise InputError(
            f"`--goal` can ask for a least value only, after >=, such as {other[1]}>=0.9. Received: {text!r}."
        )
    found = _GOAL.fullmatch(words)
    name, least = (found[1], found[2]) if found else (text, None)
    if name in _SIDES and least is None:
        raise InputError(f"`--goal` needs a least value for a {name}, such as {name}>=0.95. Received: {text!r}.")
    if not found or name not in (*_METRICS, *_SIDES):
        near = did_you_mean(name, (*_METRICS, *_SIDES))
        raise InputError(f"`--goal` must be {_FORMS}.{near} Received: {text!r}.")
    value = None if least is None else _read_share(least, text)
    plain = name if least is None else f"{name}>={least}"
    return Goal(plain, "auc", value, name, plain) if name in _SIDES else Goal(plain, name, value, name)


def _read_share(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise InputError(f"`--goal` needs a value above 0 and up to 1 after >=. Received: {whole!r}.")
    return value
