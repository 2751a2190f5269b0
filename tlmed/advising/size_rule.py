"""The rule for the size of images: that at which networks were pretrained, unless detail or time forbid it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tlmed.words import count, percent

SMALL, USUAL, LARGE = IMAGE_SIZES = (128, 224, 320)
# Of the detail at 224 pixels. Where more of it was left, 320 pixels had no higher AUC on the whole. 128 pixels had a
# lower one, whatever they keep: networks know things at their size of pretraining (`benchmarks/advice_rules.py`).
ENOUGH = 0.5
_SECONDS = 0.02  # for an image of 224 x 224 pixels to pass through MobileNetV2, on two cores
_PASSES = 20  # of all images, for which there must be time
_LONGEST = 4 * 3600  # seconds, where no budget is given
_SOURCES = "benchmarks/advice_rules.py of tlmed; Sabottke & Spieler, Radiology: Artificial Intelligence 2020, 2:e190015"


@dataclass(frozen=True)
class ImageSize:
    """A size, and why.

    Attributes:
        size: The side of the square, in pixels.
        says: Why, in a sentence or two.
        source: Where that comes from.
    """

    size: int
    says: str
    source: str = _SOURCES


def estimate_passes(images: int, size: int) -> float:
    """Return the seconds in which all images pass 20 times through a small network, on two cores.

    So many passes are the probes of a few networks and a short training of one.

    Args:
        images: How many.
        size: The side of each, in pixels.
    """
    return images * _PASSES * _SECONDS * (size / USUAL) ** 2


def choose_size(detail: Mapping[int, float], images: int, budget: float | None = None) -> ImageSize:
    """Return 224 pixels; 320 if less than half of the detail is left at 224; or less if time is short.

    Args:
        detail: For each of 128, 224 and 320 the share of the detail that it keeps.
        images: How many there are.
        budget: Seconds for the whole advice; None: four hours.

    >>> choose_size({128: 0.31, 224: 0.66, 320: 0.93}, images=100).size
    224
    """
    wanted = USUAL if detail[USUAL] >= ENOUGH else LARGE
    seconds = _LONGEST if budget is None else budget
    fitting = [size for size in IMAGE_SIZES if estimate_passes(images, size) <= seconds]
    chosen = min(wanted, max(fitting, default=SMALL))
    kept = f"{chosen} x {chosen} pixels, which keep {percent(detail[chosen])} of the detail"
    if chosen < wanted:
        minutes = max(round(estimate_passes(images, wanted) / 60), 1)
        return ImageSize(
            chosen,
            f"{kept}. {wanted} would keep {percent(detail[wanted])}, but {count(images, 'image')} would pass 20 times "
            f"through a small network in about {count(minutes, 'minute')} then, on two cores: too long.",
        )
    if chosen == LARGE:
        return ImageSize(chosen, f"{kept}; {USUAL} would keep {percent(detail[USUAL])}, less than half.")
    return ImageSize(chosen, f"{kept}, and the size that networks were pretrained at.")
