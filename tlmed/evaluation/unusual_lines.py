"""Images unlike those of training, in words: of images that were scored, and of a run's own."""

from collections.abc import Mapping, Sequence

import numpy as np

from tlmed.answer_units import IMAGE, unit_of
from tlmed.novelty import ALARM
from tlmed.words import count, listed, percent

_NAMED = 3  # images that a sentence names; it counts the others


def describe_unusual(result: Mapping) -> list[str]:
    """Say how many scored images are unlike the training images; nothing where a run cannot tell.

    Args:
        result: The content of `metrics.json` of an evaluation.

    >>> found = {"n": 200, "unusual": 130, "value": 0.65, "low": 0.58, "high": 0.71, "method": "Wilson"}
    >>> describe_unusual({"unusual": found})
    ['Unlike the training images: 130 of 200 images, 65 % (58 % to 71 %), where at most 5 % are expected by chance.']
    """
    found = result.get("unusual")
    if not found:
        return []
    share = say_share(found, unit_of(found))
    return [f"Unlike the training images: {share}, where at most {percent(ALARM)} are expected by chance."]


def say_share(alarms: Mapping, unit: str = IMAGE) -> str:
    """Return how many images, or files, are called unusual, and their share with its interval.

    Args:
        alarms: As `tlmed.novelty.known_images.count_alarms` gives them.
        unit: What was counted.
    """
    low, high = alarms["low"], alarms["high"]
    bounds = "" if None in (low, high) else f" ({percent(low)} to {percent(high)})"
    return f"{alarms['unusual']:,} of {count(alarms['n'], unit)}, {percent(alarms['value'])}{bounds}"


def describe_lack(reason: str) -> list[str]:
    """Say why a run cannot tell images unlike those of training; nothing for "", where it can."""
    return [f"Images unlike those of training are not marked: {reason}."] if reason else []


def warn_of_unusual(names: Sequence[str], p_values: np.ndarray, unit: str) -> list[str]:
    """Name the images, or files, that are unlike the training images; nothing where there are none.

    Args:
        names: m names.
        p_values: float [m].
        unit: What has one answer.

    >>> warn_of_unusual(["a.png", "b.png"], np.array([0.4, 0.01]), "image")[0].partition(":")[0]
    '1 of 2 images is unlike the images that the network was trained on (p < 0.05)'
    """
    found = np.flatnonzero(p_values < ALARM)
    if not len(found):
        return []
    order = found[np.argsort(p_values[found], kind="stable")]
    verb, those = ("is", "its") if len(found) == 1 else ("are", "their")
    by_chance = len(names) * ALARM
    return [
        f"{len(found):,} of {count(len(names), unit)} {verb} unlike the images that the network was trained on "
        f"(p < {ALARM:g}): {listed((names[row] for row in order), _NAMED)}. Trust {those} scores less. By chance at "
        f"most about {by_chance:.1f} would be called so."
    ]
