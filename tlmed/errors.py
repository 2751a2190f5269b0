"""The errors that end a command with one clear line, and the exit status that each stands for."""

import difflib
import re
import types
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

_LONGEST = 200  # characters quoted from the error of another library
CHANGED = "An image must not change while a run reads it."


def recall_change(error: Exception) -> str | None:
    r"""Return the sentences about an image that changed, which TensorFlow wraps into an error of its own; else None.

    >>> recall_change(RuntimeError(f"Node: x RunFailed: {CHANGED} Received: 'a.png' (gone).\nTraceback:"))
    "An image must not change while a run reads it. Received: 'a.png' (gone)."
    """
    found = re.search(re.escape(CHANGED) + r"[^\n]*", str(error))
    return found and found.group()


def summarise(error: Exception) -> str:
    r"""Shorten an error of Keras or TensorFlow to one line: theirs may be pages of configuration, with colour codes.

    >>> summarise(ValueError("Exception encountered.\n\n\x1b[1mNo such axis.\x1b[0m\n\nArguments received: ..."))
    'ValueError: Exception encountered. No such axis'
    """
    text = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received")[0].split())
    text = text.strip("'\"").rstrip(".")
    return f"{type(error).__name__}: {text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"


_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # line ends, control characters, marks of direction, broken bytes


def one_line(text: str) -> str:
    r"""Return a text in which what would break its line, steer a terminal or not be seen is written out.

    >>> print(one_line("two\nlines"))
    two\nlines
    """
    if text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in _UNSEEN else letter
        for letter in text
    )


class TlmedError(Exception):
    """Report one or more faults: the first is the message, the others stand indented below it, each in a line.

    Args:
        faults: One sentence or several. Each says what is wrong, what would be right and what was received.

    >>> print(InputError(["`seed` must be 0 or more. Received: seed=-1.", "`keep` must be 'best' or 'last'."]))
    `seed` must be 0 or more. Received: seed=-1.
      `keep` must be 'best' or 'last'.
    """

    exit_status = 3

    def __init__(self, faults: str | Sequence[str]):
        self.faults = tuple(one_line(fault) for fault in ((faults,) if isinstance(faults, str) else faults))
        super().__init__("\n  ".join(self.faults))


class CheckFailed(TlmedError):
    """A check said no: a leak between splits, a result that moved."""

    exit_status = 1


class InputError(TlmedError, ValueError):
    """What was given (recipe, data, weights, options) cannot be used."""

    exit_status = 2


class RunFailed(TlmedError):
    """A run could not finish: NaN, disk, memory."""

    exit_status = 3


class Interrupted(TlmedError):
    """The user pressed Ctrl-C."""

    exit_status = 130


class Terminated(TlmedError):
    """The system asked the process to end, by SIGTERM."""

    exit_status = 75


def did_you_mean(name: str, choices: Iterable[str], synonyms: Mapping[str, str] = types.MappingProxyType({})) -> str:
    """Return ' Did you mean ...?' for the nearest of `choices`, or '' where none is near.

    Args:
        name: What was given.
        choices: What can be meant.
        synonyms: Other words in lower case, each with what it means; what is none of `choices` does not count.

    >>> did_you_mean("VGG61", ["ResNet50", "VGG16", "VGG19"])
    " Did you mean 'VGG16'?"
    >>> did_you_mean("Ultrasund", ["mri", "sonography"], {"ultrasound": "sonography", "scope": "endoscopy"})
    " Did you mean 'sonography'?"
    """
    word, meant = str(name).lower(), {choice.lower(): choice for choice in choices}
    known = {other: choice for other, choice in synonyms.items() if choice in meant.values()} | meant
    near = difflib.get_close_matches(word, known, n=max(1, len(known)))
    best = max(near, key=lambda choice: _rate(word, choice), default=None)
    return "" if best is None else f" Did you mean '{known[best]}'?"


def _rate(word: str, choice: str) -> tuple[float, float]:
    """Return how alike two words are, then how alike their letters are in any order: letters get swapped."""
    pairs = (choice, word), (sorted(choice), sorted(word))
    return tuple(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)
