"""Answers and images for tests of reports, without a network."""

from tlmed.data.readers.dicom_sources import REPEATED, SourceImage
from tlmed.data.sample_sources import Shown
from tlmed.dicom_reports.answering_software import Software
from tlmed.dicom_reports.image_answers import ClassScore, ImageAnswer

CT, ENHANCED = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"
STUDY = "1.2.826.0.1.7"
LOCK = "64ef5a5b" * 8
SOFTWARE = Software("MobileNetV2", "0.1.0", LOCK, ("AUC 0.900 (no interval).",))
# The highest score decides for neither pair of numbers by rounding: they have more digits than a decimal string.
SCORES = {"benign": (0.1234567890123456789, 1 / 3), "malignant": (0.8765432109876543, 2 / 3)}


def make_image(number=1, study=STUDY, sop_class=CT, frames=1, **repeated):
    said = {"PatientName": "Doe^Jane", "PatientID": "7", "PatientBirthDate": "19700102", "PatientSex": "F", **repeated}
    return SourceImage(
        study, f"{study}.1", sop_class, f"{study}.1.{number}", frames, {**dict.fromkeys(REPEATED, ""), **said}
    )


def make_answer(number=1, predicted=("malignant",), threshold=0.5, shown=None, **more):
    scores = [
        ClassScore(name, name in predicted, *numbers, threshold if name == "malignant" else None)
        for name, numbers in SCORES.items()
    ]
    return ImageAnswer(tuple(scores), shown or (Shown(make_image(number)),), **more)
