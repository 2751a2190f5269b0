"""Width multipliers: `MobileNet:0.25` is the MobileNet whose layers have a quarter of the channels (its `alpha`)."""

import math

from tlmed.errors import InputError

# Those for which `keras.applications` has ImageNet weights; the builders refuse all others.
TRAINED = {
    "MobileNet": (0.25, 0.5, 0.75, 1.0),
    "MobileNetV2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    "MobileNetV3Large": (0.75, 1.0),
    "MobileNetV3Small": (0.75, 1.0),
}
LEAST, MOST = 0.1, 4.0  # below, a MobileNet has a layer of no channel


def split(name: str) -> tuple[str, float | None]:
    """Return the backbone that a name begins with, and its width multiplier; None for the full width.

    A width has one spelling, so that runs of the same network have the same name.

    Args:
        name: A backbone's name, with or without a colon and a width.

    Raises:
        InputError: The backbone has no widths, or the width is no number in the range or spelt in another way.

    >>> split("MobileNet:0.25"), split("VGG16")
    (('MobileNet', 0.25), ('VGG16', None))
    >>> split("MobileNet:1")
    Traceback (most recent call last):
    tlmed.errors.InputError: `backbone` of the full width must be written 'MobileNet'. Received: backbone='MobileNet:1'.
    """
    base, colon, text = name.partition(":")
    if not colon:
        return name, None
    if base not in TRAINED:
        raise InputError(
            f"`backbone` with a width, NAME:WIDTH, must be one of {', '.join(TRAINED)}. Received: backbone={name!r}."
        )
    width = _read(text)
    if not LEAST <= width <= MOST:  # NaN too
        raise InputError(
            f"`backbone` with a width must have a number from {LEAST:g} to {MOST:g} after the colon. With ImageNet "
            f"weights: {say_trained(base)}. Received: backbone={name!r}."
        )
    if width == 1:
        raise InputError(f"`backbone` of the full width must be written {base!r}. Received: backbone={name!r}.")
    if text != f"{width:g}":
        raise InputError(f"`backbone` of that width must be written '{base}:{width:g}'. Received: backbone={name!r}.")
    return base, width


def say_trained(base: str) -> str:
    """Return the names of a backbone at the widths that have ImageNet weights.

    >>> say_trained("MobileNetV3Small")
    'MobileNetV3Small:0.75, MobileNetV3Small'
    """
    return ", ".join(base if width == 1 else f"{base}:{width:g}" for width in TRAINED[base])


def _read(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
