"""The networks of a panel: loaded when they are asked, and never more than one at a time."""

import tlmed.tensorflow_start

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tlmed.inference.member_scores import average_scores
from tlmed.inference.panel import Panel
from tlmed.inference.scorer import Scorer, load_scorer
from tlmed.inference.trained_runs import Trained


@dataclass(frozen=True, eq=False)
class PanelNetworks:
    """The networks that answer.

    Attributes:
        panel: Whose they are.
    """

    panel: Panel

    @cached_property
    def scorer(self) -> Scorer:
        """What scores images for a single one: loaded once, whoever asks for it, as loading takes seconds."""
        return load_scorer(self.panel.first.run)

    def score(self, score: Callable[[Trained, Scorer], np.ndarray]) -> np.ndarray:
        """Return the weighted mean of the members' class probabilities, float [n, k]; those of one as they are.

        The networks are loaded one after another, so that no more than one is in memory. A member without a weight is
        not asked.

        Args:
            score: Scores the images with a member's network, by the rule by which this member reads images.
        """
        members, weights = self.panel.members, self.panel.weights
        if self.panel.is_single:
            return score(self.panel.first, self.scorer)
        asked = np.flatnonzero(weights)
        found = [score(members[number], load_scorer(members[number].run)) for number in asked]
        return average_scores(np.stack(found).astype(float), weights[asked, None])
