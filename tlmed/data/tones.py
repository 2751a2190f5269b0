"""Warnings about the values of images: too few levels, a single colour, nearly black, or unlike those of a run.

Where all bits of a file are shown (`window="full"`, and runs of older versions), data of 12 bits in files of 16 bits
keep 16 of 256 levels. A range that is measured on other images may do the same to an image.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tlmed.data.class_shares import Classed, say_shares
from tlmed.data.readers import describe_formats
from tlmed.data.readers.picture_files import PICTURES
from tlmed.intensity import FILE, FULL, PERCENTILE, Intensity
from tlmed.words import count, listed

WHITE = 255
FEW = 64  # levels: what 14 bits keep
BLACK = 15  # of 255: the highest that 12 bits in 16 reach; nothing can be seen in such an image
NAMED = 3
_PLAIN, _DARK, _UNLIKE = "a single colour", "all but black", "values unlike those of training"
_COARSE = "few grey levels"
_TAIL = 1  # per cent of the training images on each side that are left out of what is usual
_FAR = 2  # by this factor fewer or more values than usual are reported


def describe_tones(
    paths: Sequence[str],
    tones: np.ndarray | None,
    classed: Classed | None = None,
    usual: Mapping[str, int] | None = None,
) -> list[str]:
    """Return a sentence for each kind of images that a user should know of, with three names and a count.

    Args:
        paths: Of the images.
        tones: `TONES` [n]; None: not known.
        classed: Their classes, to report what differs between them. None: no image has a label.
        usual: What `measure_usual` gave for the training images of a run; None: nothing to compare with.

    >>> from tlmed.data.decode_and_resize import TONES
    >>> describe_tones(["a.png", "b.png"], np.array([(0, 200, 90), (0, 7, 1)], TONES))
    ['1 of 2 images (b.png) is shown in a single colour: there is nothing to see in it.']
    """
    if tones is None:
        return []
    said = _describe_levels(paths, tones["levels"], tones["brightest"])
    if classed is not None:
        said += _describe_depths(classed, tones["levels"])
    for kind, chosen in _sort_out(tones, usual).items():
        if chosen.any():
            named = listed((paths[row] for row in np.flatnonzero(chosen)), NAMED)
            what = _DESCRIBE[kind](tones[chosen], usual)
            shares = "" if classed is None else say_shares(chosen, classed)
            goes = f" They are {shares}: a network can tell the classes by that." if shares else ""
            said.append(f"{np.sum(chosen):,} of {count(len(paths), 'image')} ({named}) {what}{goes}")
    return said


def describe_unwindowed(
    paths: Sequence[str], tones: np.ndarray, formats: Sequence[str], intensity: Intensity
) -> list[str]:
    """Return a sentence if images are shown by a window or range and others have too few bits for it; or all have.

    Args:
        paths: Of the images.
        tones: `TONES` [n].
        formats: The family of files that each was read as.
        intensity: What is black and what is white.

    >>> from tlmed.data.decode_and_resize import TONES
    >>> tones = np.array([(0, 200, 90)], TONES)
    >>> describe_unwindowed(["a.png"], tones, ["picture"], Intensity("window", -160.0, 239.0))
    ['No image has more than 8 bits: they are shown as their files say, and the window (-160 to 239) changes nothing.']
    """
    deep = tones["levels"] > 0
    own = [name for name, found in describe_formats(formats).items() if found["shown"]]  # as DICOM has windows
    is_used = intensity.low is not None or intensity.kind in (PERCENTILE, FILE) or np.isin(formats, own)[deep].any()
    stays = ~deep if intensity.kind != FILE else ~deep & (np.array(formats, object) == PICTURES.name)
    few = np.flatnonzero(stays)
    if intensity.kind == FULL or not is_used or not len(few):
        return []
    if stays.all():
        said = "percentiles" if intensity.low is None else intensity.describe()
        return [
            "No image has more than 8 bits: they are shown as their files say, and the window "
            f"({said}) changes nothing."
        ]
    named = f"{len(few):,} of {count(len(paths), 'image')} ({listed((paths[row] for row in few), NAMED)})"
    have = "has" if len(few) == 1 else "have"
    return [
        f"{named} {have} 8 bits or fewer, which `data.window` leaves as they are. It decides what the others show, so "
        "that the same grey level does not mean the same in both."
    ]


def note_tones(tones: np.ndarray, usual: Mapping[str, int] | None) -> list[str]:
    """Return a few words for each image that `describe_tones` names by its values, "" for all others.

    Args:
        tones: As for `describe_tones`.
        usual: As for `describe_tones`.

    >>> from tlmed.data.decode_and_resize import TONES
    >>> note_tones(np.array([(0, 200, 90), (0, 7, 1)], TONES), {"fewest": 180, "most": 256})
    ['values unlike those of training', 'a single colour']
    """
    few, dark = _keep_few(tones["levels"]), tones["brightest"] <= BLACK
    notes = np.select([few & dark, few], [_DARK, _COARSE], "").astype(object)
    for kind, chosen in _sort_out(tones, usual).items():
        notes[chosen] = kind
    return notes.tolist()


def measure_usual(tones: np.ndarray) -> dict[str, int]:
    """Return how few and how many different values images usually have, without one per cent on each side.

    >>> from tlmed.data.decode_and_resize import TONES
    >>> measure_usual(np.array([(0, 255, used) for used in (3, 200, 210)], TONES))
    {'fewest': 3, 'most': 210}
    """
    fewest = np.percentile(tones["used"], _TAIL, method="lower")
    return {"fewest": int(fewest), "most": int(np.percentile(tones["used"], 100 - _TAIL, method="higher"))}


def _sort_out(tones, usual) -> dict[str, np.ndarray]:
    """Return which images are of each kind, bool [n]; no image is of two kinds."""
    plain = tones["used"] == 1
    told = plain | _keep_few(tones["levels"])
    # Images that keep few levels have a sentence of their own (`_describe_levels`).
    dark = ~told & (tones["brightest"] <= BLACK)
    if usual is None:
        return {_PLAIN: plain, _DARK: dark}
    far = (tones["used"] * _FAR <= usual["fewest"]) | (tones["used"] >= usual["most"] * _FAR)
    return {_PLAIN: plain, _DARK: dark, _UNLIKE: ~told & ~dark & far}


def _keep_few(levels) -> np.ndarray:
    """Return which images of more than 8 bits keep few grey levels, bool [n]."""
    return (levels > 0) & (levels <= FEW)


def _describe_plain(tones, usual) -> str:
    one = len(tones) == 1
    return f"{'is' if one else 'are'} shown in a single colour: there is nothing to see in {'it' if one else 'them'}."


def _describe_dark(tones, usual) -> str:
    highest, one = int(tones["brightest"].max()), len(tones) == 1
    cure = f"scale {'it' if one else 'them'} to the full range"
    if highest == 1:
        cure = "numbers from 0 to 1 are to be multiplied by 255, and masks are to be left out"
    return f"{'holds' if one else 'hold'} nothing above {highest} of 255, which is all but black: {cure}."


def _describe_unlike(tones, usual) -> str:
    low, high, one = int(tones["used"].min()), int(tones["used"].max()), len(tones) == 1
    found = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"{'has' if one else 'have'} {found} different values, where nearly all training images of the run "
        f"have {usual['fewest']} to {usual['most']}: {'it' if one else 'they'} may be scaled, or saved, in another way."
    )


_DESCRIBE = {_PLAIN: _describe_plain, _DARK: _describe_dark, _UNLIKE: _describe_unlike}


def _describe_levels(paths, levels, brightest) -> list[str]:
    """Return a sentence that names the images of more than 8 bits that keep few grey levels; none if there are none."""
    few = np.flatnonzero(_keep_few(levels))
    if not len(few):
        return []
    one, n = len(few) == 1, f"{len(few):,}"
    found = {
        "all but black": brightest[few] <= BLACK,
        "all white": (levels[few] == 1) & (brightest[few] == WHITE),
    }
    seen = ", ".join(f"{chosen.sum():,} of {n} {name}" for name, chosen in found.items() if chosen.any())
    return [
        f"{count(len(few), 'image')} ({listed((paths[row] for row in few), NAMED)}) with more than 8 bits "
        f"{'keeps' if one else 'keep'} at most {levels[few].max()} of 256 grey levels, because "
        f"{'its' if one else 'their'} values use a small part of what is shown between black and white, as data of 12 "
        "bits do where 16 are shown, or lie outside of it. `data.window` of the recipe says what is shown; for files "
        f"that have scales of their own, as in MRI: data.window=0.5,99.5,file{seen and f' ({seen})'}."
    ]


def _describe_depths(classed, levels) -> list[str]:
    """Return a sentence if the way in which files were stored gives the label away."""
    kinds = {
        f"that keep at most {FEW} of 256 grey levels": _keep_few(levels),
        "with more than 8 bits": levels > 0,
    }
    told = [
        f"Images {kind} are {shares}: a network can tell the classes by how the files were stored. "
        "Store all images in one way."
        for kind, chosen in kinds.items()
        if (shares := say_shares(chosen, classed))
    ]
    return told[:1]
