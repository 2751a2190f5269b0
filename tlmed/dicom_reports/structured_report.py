"""The report of a study as DICOM: a Comprehensive 3D SR by template TID 1500 (PS3.16), as IHE's AI Results asks for.

Each answer is a measurement group (TID 1501). Its class is the finding. Its numbers are measurements (TID 300) called
Probability (DCM 122157), each with the class that it is for; "Probability of cancer" (DCM 111047) would be wrong for
other classes. They have no unit (UCUM "1") and go from 0 to 1, so that they are the very numbers of the table of
predictions. highdicom is imported only where it is used, because it belongs to an extra.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tlmed.data.readers.dicom_sources import OPTIONAL, SourceImage
from tlmed.dicom_reports.answering_software import MAKER, WARNING, Software
from tlmed.dicom_reports.class_codes import ClassCode, name_code
from tlmed.dicom_reports.coding_schemes import SCHEME, SCHEME_NAME
from tlmed.dicom_reports.image_answers import ClassScore, ImageAnswer
from tlmed.targets import make_mark
from tlmed.tasks import MULTI_LABEL
from tlmed.words import leave_out_middle

if TYPE_CHECKING:
    from highdicom.sr import Comprehensive3DSR
    from pydicom import Dataset

UTF_8 = "ISO_IR 192"  # names of patients and of classes may hold the letters of any language
_NARROWER = {"ascii": None, "latin-1": "ISO_IR 100"}  # by Python's name
SERIES = "tlmed: research, not for diagnosis"
SCORE, CALIBRATED = "network output", "calibrated probability"
UNUSUAL_P = "p-value that the image is like the training images"
_LONGEST_NAME = 64  # characters (LO)
_SR_SERIES = 9901  # far from the numbers that scanners give
# PS3.16, context group 240.
PRESENT, ABSENT = ClassCode("52101004", "SCT", "Present"), ClassCode("272519000", "SCT", "Absent")


def make_evidence(image: SourceImage) -> "Dataset":
    """Return the data set of an image, as far as a report repeats it; texts are in UTF-8."""
    from pydicom import Dataset

    made = Dataset()
    made.SpecificCharacterSet = UTF_8
    for keyword, text in image.repeated.items():
        if text or keyword not in OPTIONAL:
            setattr(made, keyword, text)
    made.StudyInstanceUID, made.SeriesInstanceUID = image.study, image.series
    made.SOPClassUID, made.SOPInstanceUID = image.sop_class, image.instance
    return made


def make_report(
    answers: Sequence[ImageAnswer],
    overlays: Mapping[int, Sequence["Dataset"]],
    codes: Mapping[str, ClassCode],
    software: Software,
    task: str,
) -> "Comprehensive3DSR":
    """Return the report of a study.

    Args:
        answers: Those for images of the study.
        overlays: By the place of an answer, the images that show why it was given.
        codes: Of each class.
        software: What answered.
        task: Of `tlmed.tasks`.

    Returns:
        A data set that is new to every archive: its UIDs are random, because the same UIDs with another content, such
        as another time, are an error. Its content is complete, preliminary and verified by nobody.
    """
    import highdicom as hd
    from pydicom.uid import ExplicitVRLittleEndian

    algorithm = _describe_algorithm(software)
    groups = [
        _make_group(number, answer, overlays.get(number, ()), codes, algorithm, task)
        for number, answer in enumerate(answers)
    ]
    images = {shown.image.instance: shown.image for answer in answers for shown in answer.shown}
    pictures = [picture for some in overlays.values() for picture in some]
    with ignoring_names():
        report = hd.sr.Comprehensive3DSR(
            evidence=[*map(make_evidence, images.values()), *pictures],
            content=_make_content(groups, software),
            series_instance_uid=make_uid(),
            series_number=_SR_SERIES,
            sop_instance_uid=make_uid(),
            instance_number=1,
            is_complete=True,
            specific_character_set=UTF_8,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **describe_maker(software),
        )
    narrow_characters(report)
    return report


@contextlib.contextmanager
def ignoring_names() -> Iterator[None]:
    """Let highdicom not warn of names of patients that have one part, as pseudonyms do."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="highdicom")
        yield


def narrow_characters(made: "Dataset") -> None:
    """Choose the smallest character set that has all letters of a data set in UTF-8: old programs know few others."""
    texts = [
        str(value)
        for element in made.iterall()
        if not isinstance(element.value, bytes) and element.VR != "SQ"
        for value in (element.value if element.VM > 1 else [element.value])
    ]
    for codec, name in _NARROWER.items():
        with contextlib.suppress(UnicodeEncodeError):
            "".join(texts).encode(codec)
            if name is None:
                del made.SpecificCharacterSet
            else:
                made.SpecificCharacterSet = name
            return


def describe_maker(software: Software) -> dict:
    """Return what new objects say of what made them, as arguments of highdicom's classes."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    scheme = CodingSchemeIdentificationItem(designator=SCHEME, name=SCHEME_NAME)
    return {
        "manufacturer": MAKER,
        "manufacturer_model_name": leave_out_middle(software.name, _LONGEST_NAME),  # the content has it whole
        "software_versions": software.version,
        "device_serial_number": software.lock,
        "series_description": SERIES,
        "content_qualification": "RESEARCH",
        "coding_schemes": [scheme],
    }


def make_uid() -> str:
    """Return a UID that no other object has, from a random UUID (PS3.5, B.2)."""
    from pydicom.uid import generate_uid

    return generate_uid(prefix=None)


def _make_content(groups, software):
    import highdicom as hd
    from pydicom.sr.codedict import codes as terms

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=software.uid,
        name=f"{MAKER} {software.version}",
        manufacturer_name=MAKER,
        model_name=software.name,
        serial_number=software.lock,
    )
    observer = hd.sr.ObserverContext(observer_type=terms.DCM.Device, observer_identifying_attributes=device)
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=terms.SCT.ImagingProcedure,
        imaging_measurements=groups,
    )
    report[0].ContentSequence.append(_comment(f"{WARNING} {make_mark('predict')}"))
    return report[0]


def _comment(text):
    import highdicom as hd
    from pydicom.sr.codedict import codes as terms

    return hd.sr.TextContentItem(name=terms.DCM.Comment, value=text, relationship_type="CONTAINS")


def _describe_algorithm(software):
    import highdicom as hd
    from pydicom.sr.codedict import codes as terms

    return hd.sr.AlgorithmIdentification(
        name=f"{MAKER} {software.name}",
        version=f"{software.version}, lock {software.lock}",
        parameters=list(software.remarks),
        family=terms.cid7162.ArtificialIntelligence,
        manufacturer=MAKER,
    )


def _make_group(number, answer, pictures, codes, algorithm, task):
    """Return the measurement group of an answer."""
    import highdicom as hd
    from pydicom.sr.codedict import codes as terms

    several = task == MULTI_LABEL
    finding = [score.name for score in answer.scores if score.predicted]
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=make_uid(), identifier=f"{MAKER} answer {number + 1}"),
        # A label that is absent is no finding, and a reader may see no more than that. So labels are evaluated.
        finding_type=None if several else _concept(codes[finding[0]]),
        algorithm_id=algorithm,
        measurements=[part for score in answer.scores for part in _measure(score, codes[score.name])]
        + _measure_unusual(answer),
        qualitative_evaluations=[_evaluate(score, codes[score.name]) for score in answer.scores] if several else None,
        source_images=[_refer(shown) for shown in answer.shown],
    )
    content = group[0].ContentSequence
    for picture in pictures:
        content.append(
            hd.sr.ImageContentItem(
                name=terms.DCM.VisualExplanation,
                referenced_sop_class_uid=picture.SOPClassUID,
                referenced_sop_instance_uid=picture.SOPInstanceUID,
                relationship_type="CONTAINS",
            )
        )
    if answer.note:
        content.append(_comment(answer.note))
    return group


def _refer(shown):
    import highdicom as hd

    return hd.sr.SourceImageForMeasurementGroup(shown.image.sop_class, shown.image.instance, list(shown.frames) or None)


def _evaluate(score: ClassScore, code: ClassCode):
    import highdicom as hd

    return hd.sr.QualitativeEvaluation(_concept(code), _concept(PRESENT if score.predicted else ABSENT))


def _measure(score: ClassScore, code: ClassCode) -> list:
    """Return the numbers of a class: what the network gives, its probability, and from where on it is predicted."""
    from pydicom.sr.codedict import codes as terms

    made = [
        _make_number(terms.DCM.Probability, value, code, method)
        for method, value in ((SCORE, score.score), (CALIBRATED, score.calibrated))
    ]
    if score.threshold is not None:
        made.append(_make_number(terms.DCM.ThresholdValue, float(score.threshold), code, SCORE))
    return made


def _measure_unusual(answer: ImageAnswer) -> list:
    name = _concept(name_code(UNUSUAL_P))
    return [] if answer.unusual is None else [_make_number(name, answer.unusual, None, None)]


def _make_number(name, value: float, code: ClassCode | None, method: str | None):
    """Return a number without a unit, with the class that it is for as a modifier of its name."""
    import highdicom as hd
    from pydicom.sr.codedict import codes as terms

    found = hd.sr.Measurement(
        name=name,
        value=float(value),
        unit=terms.UCUM.NoUnits,
        method=None if method is None else _concept(name_code(method)),
    )
    if code is not None:
        modifier = hd.sr.CodeContentItem(terms.DCM.Finding, _concept(code), relationship_type="HAS CONCEPT MOD")
        content = found[0].ContentSequence
        found[0].ContentSequence = [modifier, *content]
    return found


def _concept(code: ClassCode):
    import highdicom as hd

    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)
