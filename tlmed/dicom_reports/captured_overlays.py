"""Pictures of why an answer was given, as DICOM Secondary Capture images in the study of their sources."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tlmed.data.readers.dicom_sources import OPTIONAL, SourceImage
from tlmed.dicom_reports.answering_software import WARNING, Software
from tlmed.dicom_reports.structured_report import (
    UTF_8,
    describe_maker,
    ignoring_names,
    make_evidence,
    narrow_characters,
)
from tlmed.evaluation.explanations import Explainer, draw_panel
from tlmed.evaluation.pooling import find_telling
from tlmed.inference.loose_images import Answered
from tlmed.inference.scorer import BATCH_SIZE, computing
from tlmed.targets import make_mark
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import thousandths

if TYPE_CHECKING:
    from highdicom.sc import SCImage

_SERIES = 9902
_MARGIN, _LINE = 8, 22


@dataclass(frozen=True)
class Overlay:
    """Why an answer was given: an image beside itself with a map on it.

    Attributes:
        unit: The place of the answer.
        sample: The image that is shown, as predictions call it.
        picture: uint8 [height, width, 3], RGB.
        about: What it shows, a sentence.
    """

    unit: int
    sample: str
    picture: np.ndarray
    about: str


def draw_overlays(answered: Answered, explainer: Explainer, names: Sequence[str]) -> Iterator[Overlay]:
    """Draw why each answer was given: for its class, or for each label that is predicted, on the image that tells most.

    Args:
        answered: From `tlmed.inference.answer`.
        explainer: Of the same network.
        names: What classes are called.
    """
    found = answered.answers
    several = read_task(answered.panel.metrics) == MULTI_LABEL
    units, wanted = np.nonzero(found.chosen == 1) if several else (np.arange(len(found.chosen)), found.chosen)
    telling = {
        label: find_telling(found.scores, found.members, np.full(len(found.chosen), label))
        for label in np.unique(wanted).tolist()
    }
    rows = np.array([telling[label][unit] for unit, label in zip(units, wanted, strict=True)], int)
    if not len(rows):
        return
    done = 0
    with computing():
        for images in replace(answered.files, rows=answered.files.rows[rows]).batches(BATCH_SIZE):
            images = np.asarray(images)
            part = slice(done, done + len(images))
            maps = explainer(images, wanted[part])
            for image, heat, unit, label, row in zip(images, maps, units[part], wanted[part], rows[part], strict=True):
                caption = f"{names[label]} {thousandths(found.pooled[unit, label])}"
                picture = _draw(image, heat, caption, explainer.name)
                yield Overlay(int(unit), answered.names[row], picture, f"{caption}: {explainer.name}")
            done += len(images)


def _draw(image: np.ndarray, heat: np.ndarray, caption: str, note: str) -> np.ndarray:
    """Return a panel with a warning below it, because a picture may be shown without all that stands beside it."""
    panel = draw_panel(image, heat, caption, note)
    font = ImageFont.load_default(12)
    lines = _break_line(WARNING, font, panel.width - 2 * _MARGIN)
    drawn = Image.new("RGB", (panel.width, panel.height + len(lines) * _LINE), "white")
    drawn.paste(panel, (0, 0))
    pen = ImageDraw.Draw(drawn)
    for number, line in enumerate(lines):
        pen.text((_MARGIN, panel.height + number * _LINE), line, "#1b2430", font)
    return np.asarray(drawn)


def _break_line(text: str, font: ImageFont.FreeTypeFont, room: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if font.getlength(longer) <= room else [*lines, word]
    return lines


def capture(
    overlay: Overlay, source: SourceImage, frames: tuple[int, ...], software: Software, place: tuple[str, int, str]
) -> "SCImage":
    """Return an overlay as a Secondary Capture image in the study of its source.

    Args:
        overlay: The picture.
        source: The image that it shows.
        frames: Its frames, from 1; none: all of it.
        software: What answered.
        place: The UID of the series, the number in it from 1, and the UID of the image.
    """
    import highdicom as hd
    from pydicom import Dataset
    from pydicom.sr.codedict import codes as terms
    from pydicom.uid import ExplicitVRLittleEndian

    series, number, uid = place
    with ignoring_names():
        made = hd.sc.SCImage.from_ref_dataset(
            make_evidence(source),
            overlay.picture,
            "RGB",
            8,
            "PATIENT",
            series,
            _SERIES,
            uid,
            number,
            patient_orientation=("L", "P"),
            specific_character_set=UTF_8,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **describe_maker(software),
        )
    for keyword in OPTIONAL:  # highdicom passes on what the modules demand, and nothing else
        if text := source.repeated[keyword]:
            setattr(made, keyword, text)
    made.PatientOrientation = None  # highdicom asks for one; two pictures and words beside each other have none
    made.Laterality = None  # not known here
    made.ConversionType = "WSD"  # drawn by a workstation
    made.DerivationDescription = overlay.about
    made.ImageComments = f"{WARNING} {make_mark('predict')}"
    shown = Dataset()
    shown.ReferencedSOPClassUID, shown.ReferencedSOPInstanceUID = source.sop_class, source.instance
    if frames:
        shown.ReferencedFrameNumber = list(frames)
    purpose = terms.DCM.SourceImageForImageProcessingOperation
    shown.PurposeOfReferenceCodeSequence = [hd.sr.CodedConcept.from_code(purpose)]
    made.SourceImageSequence = [shown]
    narrow_characters(made)
    return made
