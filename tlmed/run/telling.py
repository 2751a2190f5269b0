"""What a run says while it works, and how long each of its stages takes."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import keras


@dataclass(frozen=True)
class Voice:
    """What a run says while it works; silent by default.

    Attributes:
        say: Takes a line for the user.
        warn: Takes a warning.
        progress: Makes a Keras callback that shows a phase, given its name, epochs and steps per epoch.
        features: Makes a function that is told of how many more images features were computed, given what they are for
            and the number of images.
    """

    say: Callable[[str], None] = lambda line: None
    warn: Callable[[str], None] = lambda line: None
    progress: Callable[[str, int, int], AbstractContextManager[keras.callbacks.Callback]] | None = None
    features: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] | None = None


SILENT = Voice()


@dataclass
class Clock:
    """Seconds of each stage, and of the whole from when the first image is read to when the last weight is updated.

    Attributes:
        begin: When the command began, as all three on the clock of `time.perf_counter`.
        reading: When the first image was read.
        trained: When the last weight was updated.
        stages: Name and seconds of each stage.
        extractions: How features were had: computed, or found in the cache.
    """

    begin: float = field(default_factory=time.perf_counter)
    reading: float = 0.0
    trained: float = 0.0
    stages: list[dict] = field(default_factory=list)
    extractions: list[dict] = field(default_factory=list)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as one stage."""
        start = time.perf_counter()
        yield
        self.stages.append({"name": name, "seconds": round(time.perf_counter() - start, 3)})
