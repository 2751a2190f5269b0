"""How unlike the training images of a run, or of each of several, the images are that it scores."""

from dataclasses import dataclass, field

import numpy as np

from tlmed.errors import InputError
from tlmed.inference.panel import Panel
from tlmed.inference.trained_runs import Trained
from tlmed.novelty import Novelty, find_novelty, join_judgements, pool_judgements
from tlmed.run_files import NOVELTY_JSON
from tlmed.rundir import RunDir

_DIGITS = 6  # of a mean of p-values: more say nothing


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Jury:
    """Judges images by what each network of a panel knows of its training images, while the network scores them.

    Attributes:
        known: What each member with a weight knows, by its directory; nothing where one of them knows nothing.
        shares: The weight of each, likewise.
        reason: Why images cannot be judged; "" where they can.
        found: The p-values that were noted, likewise.
    """

    known: dict[RunDir, Novelty]
    shares: dict[RunDir, float]
    reason: str = ""
    found: dict[RunDir, np.ndarray] = field(default_factory=dict)

    def note(self, member: Trained, features: np.ndarray) -> None:
        """Judge images by their features in a member's network, float [n, d]."""
        if member.run in self.known:
            try:
                self.found[member.run] = self.known[member.run].judge(features)
            except ValueError as error:
                said = f"`novelty.sealed` must be of RUN's network. Received: {member.run.path}: {error}"
                raise InputError(said) from error

    def join(self) -> np.ndarray:
        """Return one p-value of each image, float [n]; there must be no reason against it."""
        return join_judgements([self.found[run] for run in self.known], [self.shares[run] for run in self.known])


def pool_rounded(jury: Jury, p_values: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return the p-value of each unit, float [m], rounded where it is a mean, of several samples or networks.

    Args:
        jury: Who judged.
        p_values: Of the n samples.
        members: The unit of each, int [n].
    """
    found = pool_judgements(p_values, members)
    is_mean = (np.bincount(members) > 1) | (len(jury.known) > 1)
    return np.where(is_mean, found.round(_DIGITS), found)


def open_jury(panel: Panel) -> Jury:
    """Return what judges the images that a panel scores.

    Raises:
        InputError: If what a member knows of its training images cannot be read.
    """
    asked = {
        member.run: float(weight) for member, weight in zip(panel.members, panel.weights, strict=True) if weight > 0
    }
    found = {run: find_novelty(run) for run in asked}
    if lacking := [run for run, novelty in found.items() if novelty is None]:
        first = lacking[0]
        named = "" if panel.is_single else f"{first.path.name}: "
        return Jury({}, asked, f"{named}{_say_why(first)}")
    return Jury(found, asked)


def _say_why(run) -> str:
    said = NOVELTY_JSON.find(run).get("reason")
    return said or "the run keeps nothing of its training images (it is of an older version, or the file was deleted)"
