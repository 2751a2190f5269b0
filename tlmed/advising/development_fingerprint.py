"""The fingerprint of the images that advice may rest on: all but those of the test split."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.advising.image_detail import measure_detail
from tlmed.advising.own_sizes import read_own_sizes
from tlmed.data import ImageSet, join_units
from tlmed.data.file_facts import FileFacts
from tlmed.gate.data_fingerprint import describe_data
from tlmed.gate.evidence import Evidence, gather, take_rows
from tlmed.pseudonyms import is_file_group
from tlmed.recipe import Recipe
from tlmed.sections.image_attributes import BODY_PARTS, MODALITIES, SYNONYMS
from tlmed.split_names import LEARNED

# DICOM's words for how an image was made (PS3.3, C.7.3.1.1.1) that are not among the synonyms of a recipe's words.
_DICOM = {
    **dict.fromkeys(("es",), "endoscopy"),
    **dict.fromkeys(("gm", "sm"), "microscopy"),
    **dict.fromkeys(("ivoct", "opt", "octscan"), "oct"),
    **dict.fromkeys(("op", "xc"), "photography"),
    **dict.fromkeys(("pt",), "pet"),
    **dict.fromkeys(("nm", "st"), "spect"),
    **dict.fromkeys(("px", "rf", "rg", "io"), "x-ray"),
}
_MOST = 0.9  # of the files that must agree on how they were made
_CHROMA, _COLOURED = 16, 0.01  # gray levels between channels; the share of pixels with more of them in a coloured image


@dataclass(frozen=True)
class Fingerprint:
    """What the development images are, in plain numbers; no test image has a part in any of them.

    Attributes:
        task: "single-label", "ordinal" or "multi-label".
        images: How many there are.
        counts: For each class its images; for each label the images that have it.
        ratio: The most frequent class by the rarest; None if one has no image.
        groups: How many groups (patients) there are; None if none are named.
        images_each: The median number of images of a group; None if none are named.
        units: What stands alone: groups, and images that are in none; identical files count once.
        fewest: The units of the class that has fewest; of several labels all units.
        height: The median, in pixels, of the stored images; None if unknown.
        width: The same.
        gray: Whether the images have no colours.
        mean: Of the gray levels, 0..255, averaged over images.
        deviation: The standard deviation of the gray levels of an image, averaged over images.
        detail: For each size in pixels the share of the detail that it keeps (`measure_detail`).
        intrinsic_dimension: Of the features (`tlmed.gate.data_fingerprint`); None without features.
        nearest_neighbour_auc: How well the nearest image of another owner tells the class; None without features.
        modality: One of the recipe's words for how images were made; None if nothing says so.
        body_part: One of the recipe's words for what they show; None if nothing says so.
    """

    task: str
    images: int
    counts: Mapping[str, int]
    ratio: float | None
    groups: int | None
    images_each: float | None
    units: int
    fewest: int
    height: int | None
    width: int | None
    gray: bool
    mean: float
    deviation: float
    detail: Mapping[int, float]
    intrinsic_dimension: float | None = None
    nearest_neighbour_auc: float | None = None
    modality: str | None = None
    body_part: str | None = None

    @property
    def classes(self) -> int:
        """How many classes, or labels, there are."""
        return len(self.counts)

    def to_json(self) -> dict:
        """Return it as plain JSON."""
        detail = {str(size): share for size, share in self.detail.items()}
        return {**dataclasses.asdict(self), "classes": self.classes, "counts": dict(self.counts), "detail": detail}

    @classmethod
    def from_json(cls, content: Mapping) -> "Fingerprint":
        """Return what `to_json` wrote, which may hold more."""
        known = {field.name: content[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**known, "detail": {int(size): share for size, share in content["detail"].items()}})


def find_development(images: ImageSet) -> np.ndarray:
    """Return the rows of the images that advice may rest on, those of train and val, int64, ascending."""
    return np.flatnonzero(np.isin(images.splits, LEARNED))


def count_units(images: ImageSet) -> int:
    """Return how many groups there are for development, and images that are in none; identical files count once.

    Args:
        images: All images, in their splits.
    """
    rows, groups = find_development(images), images.table.groups
    known = None if groups is None else [groups[row] for row in rows]
    return np.unique(join_units(known, [images.sha256[row] for row in rows])).size


def describe_development(recipe: Recipe, images: ImageSet, evidence: Evidence | None = None) -> Fingerprint:
    """Return what the development images are; no test image has a part in any number.

    Args:
        recipe: How they are read; what it says of task, modality and body part counts.
        images: All images, in their splits, of which some are for development.
        evidence: What the gate gathered of the same images; None: it is gathered here, without features.

    Raises:
        RunFailed: An image changed while it was read.
    """
    rows = find_development(images)
    known = take_rows(gather(images, recipe.seed) if evidence is None else evidence, rows)
    figures = describe_data(known).figures
    coloured: list[bool] = []
    detail = measure_detail(_note_colours(read_own_sizes(images, rows, recipe.seed), coloured))
    sides, groups, units = figures["sizes"], _count_groups(known.table.groups), _find_units(known)
    return Fingerprint(
        recipe.find_task(known.table.is_multi),
        len(known),
        figures["classes"],
        figures["imbalance_ratio"],
        *groups,
        int(units.max()) + 1,
        _count_fewest(known, units),
        *(round(sides[side]["median"]) if sides[side] else None for side in ("height", "width")),
        sum(coloured) < (1 - _MOST) * len(coloured) or not any(coloured),
        figures["intensity"]["mean"],
        figures["intensity"]["deviation"],
        detail,
        figures["intrinsic_dimension"],
        figures["nearest_neighbour_auc"],
        recipe.data.modality or find_word(known.files, "modality", MODALITIES),
        recipe.data.body_part or find_word(known.files, "body part", BODY_PARTS),
    )


def find_word(files: Sequence[FileFacts], tag: str, words: Sequence[str]) -> str | None:
    """Return the one of some words that the headers of nearly all files mean; None if there is none.

    Args:
        files: What they say.
        tag: "modality" or "body part".
        words: Those that a recipe knows; no other text of a header is given on.

    >>> find_word([FileFacts(tags={"modality": "US"})] * 20, "modality", MODALITIES)
    'sonography'
    """
    texts = [" ".join(facts.tags.get(tag, "").casefold().replace("_", " ").split()) for facts in files]
    named = Counter(SYNONYMS.get(text, _DICOM.get(text, text)) for text in texts)
    word, amount = max(named.items(), key=lambda item: item[1], default=("", 0))
    return word if word in words and amount >= _MOST * len(files) else None


def is_coloured(image: np.ndarray) -> bool:
    """Tell whether more than a hundredth of the pixels have a colour; coloured marks on a gray image are fewer.

    Args:
        image: uint8 [height, width, 3].
    """
    return bool((np.ptp(image, axis=2) > _CHROMA).mean() > _COLOURED)


def _note_colours(images: Iterable[np.ndarray], coloured: list[bool]) -> Iterator[np.ndarray]:
    for image in images:
        coloured.append(is_coloured(image))
        yield image


def _count_groups(groups) -> tuple[int | None, float | None]:
    """Return how many groups there are, and the median of their images; files with several samples are no patients."""
    named = Counter(group for group in groups or () if group and not is_file_group(group))
    return (len(named), float(np.median(list(named.values())))) if named else (None, None)


def _find_units(known: Evidence) -> np.ndarray:
    return join_units(known.table.groups, known.sha256)


def _count_fewest(known: Evidence, units: np.ndarray) -> int:
    table = known.table
    if table.is_multi:
        return int(units.max()) + 1
    return min(len(np.unique(units[table.has(number)])) for number in range(len(table.classes)))
