"""What a command says while it works."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Voice:
    """What a command says while it works; silent by default.

    Attributes:
        say: Takes a line, or a `tlmed.screen.Table`, for the user.
        warn: Takes a warning.
        busy: Shows what is waited for while its block runs, given in a few words.
        progress: Makes a Keras callback that shows a phase, given its name, epochs and steps per epoch.
        features: Makes a function that is told of how many more images features were computed, given what they are for
            and the number of images.
        count: Makes such a function for anything else, given what is counted and how many there are.
    """

    say: Callable[[Any], None] = lambda part: None
    warn: Callable[[str], None] = lambda line: None
    busy: Callable[[str], AbstractContextManager[Any]] = lambda words: contextlib.nullcontext()
    progress: Callable[[str, int, int], AbstractContextManager[Any]] | None = None
    features: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] | None = None
    count: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] = lambda words, total: (
        contextlib.nullcontext(lambda more: None)
    )


SILENT = Voice()
