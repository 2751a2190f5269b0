"""The result of training, as evaluation takes it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Outcome:
    """A trained classifier's scores, and how it was trained.

    Attributes:
        scores: Class probabilities [n, classes] of the validation images, then of the test images.
        notes: How it was trained and chosen, for `metrics.json`.
        images: How many images training went through, over all epochs.
        seconds: What that took.
        earlier: How many of these seconds an earlier, stopped command spent.
        features: Row numbers of images to what the head, or the classifier, was given of them, float [n, d].
    """

    scores: np.ndarray
    notes: dict = field(default_factory=dict)
    images: int = 0
    seconds: float = 0.0
    earlier: float = 0.0
    features: Callable[[np.ndarray], np.ndarray] | None = None
