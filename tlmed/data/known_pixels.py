"""Facts about pixels that were decoded before, kept apart by what is black and what is white."""

from dataclasses import dataclass

import numpy as np

from tlmed.data.decode_and_resize import TONES
from tlmed.data.known_files import KnownPixels
from tlmed.intensity import AUTO, Intensity

_FIXED = "needs no range"
_VALUES = "values without padding"
_CUT = "cut"


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of an image.

    Attributes:
        pixels: The SHA-256 of its resized pixels; empty where there are none yet, or nobody asked for it.
        tones: `TONES` [].
        values: What `summarise` returned of an image that waits for a range; None of others.
        is_cut: As in `Examined`.
    """

    pixels: bytes
    tones: np.ndarray
    values: np.ndarray | None = None
    is_cut: bool = False


def find_facts(known: KnownPixels | None, content: str, intensity: Intensity) -> Facts | None:
    """Return what is known of an image by its content's digest; None if it must be decoded.

    What a file decides alone, such as an image of 8 bits, is the same whatever range "auto" measures.
    """
    if known is None:
        return None
    if intensity.kind == AUTO and intensity.key:
        alone = _find(known, content, "")
        if alone is not None and (alone.tones["levels"] == 0 or known.get(content, _FIXED)):
            return alone
    if intensity.is_open and (held := known.get(content, _VALUES)) is not None:
        return Facts(b"", np.zeros((), TONES), np.frombuffer(held, np.float32))
    return _find(known, content, intensity.key)


def note_facts(known: KnownPixels | None, content: str, intensity: Intensity, facts: Facts, is_ranged: bool) -> None:
    """Note what was found of an image; `is_ranged`: it is shown by a range that is measured."""
    if known is None:
        return
    if facts.values is not None:
        known.add(content, facts.values.tobytes(), _VALUES)
        return
    alone = intensity.kind == AUTO and not is_ranged
    key = "" if alone else intensity.key
    known.add(content, facts.pixels, key)
    known.add(content, facts.tones.tobytes(), f"tones {key}".strip())
    if facts.is_cut:
        known.add(content, b"1", _CUT)
    if alone and intensity.key and facts.tones["levels"]:
        known.add(content, b"1", _FIXED)


def _find(known: KnownPixels, content: str, key: str) -> Facts | None:
    # Facts of older versions have no tones.
    pixels, tones = known.get(content, key), known.get(content, f"tones {key}".strip())
    if pixels is None or tones is None:
        return None
    return Facts(pixels, np.frombuffer(tones, TONES)[0], is_cut=known.get(content, _CUT) is not None)
