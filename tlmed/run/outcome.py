"""What training hands on to evaluation."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Outcome:
    """A trained classifier's scores, and how it came about.

    Attributes:
        scores: Class probabilities [n, classes] of the validation images, then of the test images.
        notes: What goes into `metrics.json` of how it was trained and chosen.
        images: How many images training went through, each epoch's counted.
        seconds: What that took.
        earlier: Seconds of it that an earlier, stopped command had spent.
    """

    scores: np.ndarray
    notes: dict = field(default_factory=dict)
    images: int = 0
    seconds: float = 0.0
    earlier: float = 0.0
