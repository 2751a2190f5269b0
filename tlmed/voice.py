"""What a command says while it works."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Voice:
    """What a command says while it works; silent by default.

    Attributes:
        say: Takes a line for the user.
        warn: Takes a warning.
        progress: Makes a Keras callback that shows a phase, given its name, epochs and steps per epoch.
        features: Makes a function that is told of how many more images features were computed, given what they are for
            and the number of images.
    """

    say: Callable[[str], None] = lambda line: None
    warn: Callable[[str], None] = lambda line: None
    progress: Callable[[str, int, int], AbstractContextManager[Any]] | None = None
    features: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] | None = None


SILENT = Voice()
