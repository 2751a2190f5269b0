"""How training changes images, at random."""

import dataclasses
from typing import Self

from tlmed.errors import InputError
from tlmed.sections.augment_presets import PRESETS, preset_values, suggest_preset
from tlmed.sections.rules import must, one_of, section

FLIPS = ("none", "horizontal", "vertical", "both")


def _below_one(**options):
    return must("a fraction from 0 to below 1", lambda v: 0 <= v < 1, **options)


def _up_to_one(**options):
    return must("a number from 0 to 1", lambda v: 0 <= v <= 1, **options)


@section
class Augment:
    """Random changes to training images; all off by default.

    They are made in the order of the fields; `views` and `from_preset` make none. Values stay within 0..255.

    Attributes:
        flip: Mirror at random along this axis; "both": along each of the two by itself.
        rotation: Largest rotation, as a fraction of a full turn, in both directions (0.1: up to 36 degrees).
        zoom: By which fraction more or less of each side is shown, at most: 0.2 shows things 0.83 to 1.25 times as
            large.
        contrast: Largest change of contrast, as a fraction, in both directions.
        views: Versions of each training image that are made once and take turns over the epochs, so that what frozen
            blocks give for them can be kept; 0: every epoch makes new ones. Phases that freeze nothing make new ones.
        brightness: Largest value added to all pixels, or taken from them, as a fraction of 255.
        gamma: Largest change of the exponent of all pixels, as a fraction: 0.5 gives exponents from 1/1.5 to 1.5.
        stain: Largest change of haematoxylin and of eosin in a stained section, each by itself: as a fraction of the
            stain, and as an optical density that is added to it.
        blur: Largest standard deviation of a Gaussian blur, in pixels.
        speckle: Largest standard deviation of noise that grows with the square root of the pixel, as a fraction of 255.
        noise: Largest standard deviation of Gaussian noise, as a fraction of 255; all channels get the same.
        from_preset: The preset that these fields come from; `Augment.preset` notes it, and it changes no image.
    """

    flip: str = one_of(FLIPS, default="none")
    rotation: float = must("a fraction of a turn from 0 to 0.5", lambda v: 0 <= v <= 0.5, default=0.0)
    zoom: float = _below_one(default=0.0)
    contrast: float = _below_one(default=0.0)
    views: int = must("a whole number, 0 or more", lambda n: n >= 0, default=0)
    brightness: float = _below_one(default=0.0)
    gamma: float = _up_to_one(default=0.0)
    stain: float = _below_one(default=0.0)
    blur: float = must("a number of pixels from 0 to 5", lambda v: 0 <= v <= 5, default=0.0)
    speckle: float = _up_to_one(default=0.0)
    noise: float = _up_to_one(default=0.0)
    from_preset: str | None = must(
        f"the name of a preset ({', '.join(PRESETS)}), or None",
        lambda name: name is None or name in PRESETS,
        default=None,
    )

    @property
    def changes_images(self) -> bool:
        """Tell whether anything is on."""
        return dataclasses.replace(self, views=0, from_preset=None) != Augment()

    def find_conflicts(self, path: str) -> list[str]:
        """Return a sentence where a preset is named and nothing is on: naming one sets no field."""
        if self.from_preset is None or self.changes_images:
            return []
        return [
            f"`{path}from_preset` must be None where nothing is on; `Augment.preset({self.from_preset!r})` sets the "
            f"fields. Received: from_preset={self.from_preset!r}."
        ]

    @classmethod
    def preset(cls, name: str, **changes) -> Self:
        """Return the augmentation that suits a kind of image.

        Args:
            name: One of `PRESETS`, such as `"chest-x-ray"`.
            changes: Fields that are to have another value.

        Raises:
            InputError: There is no such preset.

        >>> Augment.preset("chest-x-ray", zoom=0).zoom
        0
        """
        if name not in PRESETS:
            raise InputError(f"{suggest_preset(name)} Received: preset={name!r}.")
        return cls(**{**preset_values(name), "from_preset": name, **changes})
