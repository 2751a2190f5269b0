"""How long each stage of a run takes."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

CHECK = "check data"  # the stage that looks for leaks and trains nothing
EARLY = "compute features"  # what is left to compute when images are read and the plan is made


@dataclass
class Clock:
    """Seconds of each stage, and of the whole from when the first image is read to when the last weight is updated.

    Attributes:
        begin: When the command began. This and the next two are readings of `time.perf_counter`.
        reading: When the first image was read.
        trained: When the last weight was updated.
        stages: Name and seconds of each stage.
        extractions: How features were obtained: computed, or found in the cache.
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

    @property
    def training(self) -> float:
        """Seconds from when the first image is read to when the last weight is updated, without the check of the data.

        The check reads pixels that are decoded already, or decodes them once more for itself. Neither does it count how
        long other processes computed features that this run waited for.
        """
        others = [stage["seconds"] for stage in self.stages if stage["name"] == CHECK]
        others += [extraction.get("waiting_seconds", 0.0) for extraction in self.extractions]
        return max(self.trained - self.reading - sum(others), 0)
