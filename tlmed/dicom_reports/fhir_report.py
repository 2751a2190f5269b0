"""The report of a study as FHIR: a `DiagnosticReport` with its observations inside, for systems that read no DICOM.

It is of R4B, and holds only what is the same in R4, which most systems speak. It follows the mapping of DICOM SR to
FHIR by HL7 where R4 has the elements for it. It names the patient by ID alone.
"""

import datetime
from collections.abc import Mapping, Sequence

from tlmed.data.sample_sources import Shown
from tlmed.dicom_reports.answering_software import MAKER, WARNING, Software
from tlmed.dicom_reports.class_codes import ClassCode, name_class
from tlmed.dicom_reports.image_answers import ClassScore, ImageAnswer
from tlmed.dicom_reports.structured_report import ABSENT, CALIBRATED, PRESENT, SCORE, UNUSUAL_P
from tlmed.targets import make_mark
from tlmed.tasks import MULTI_LABEL

# What FHIR calls the schemes of DICOM (PS3.16, 8): a code of another scheme is given by its meaning alone.
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "RADLEX": "http://radlex.org",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
}
_UID_SYSTEM = "urn:dicom:uid"
_FINDING = ClassCode("121071", "DCM", "Finding")
_PROBABILITY = ClassCode("122157", "DCM", "Probability")
_THRESHOLD = ClassCode("122411", "DCM", "Threshold Value")
_STUDY = ClassCode("18748-4", "LN", "Diagnostic imaging study")
_IMAGING = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}]}
_SERVICE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "IMG"}]}
_DEVICE = "software"


def make_fhir(
    answers: Sequence[ImageAnswer], codes: Mapping[str, ClassCode], software: Software, task: str, report_uid: str
) -> dict:
    """Return the report of a study as JSON.

    Args:
        answers: Those for images of the study.
        codes: Of each class.
        software: What answered.
        task: Of `tlmed.tasks`.
        report_uid: The UID of the report in DICOM.
    """
    source = answers[0].source
    about = {"subject": _name_patient(source.repeated["PatientID"])} if source.repeated["PatientID"] else {}
    observe = _observe_labels if task == MULTI_LABEL else _observe_class
    observed = [
        {"resourceType": "Observation", "status": "preliminary", "category": [_IMAGING], **about, **content}
        for number, answer in enumerate(answers, 1)
        for content in observe(number, answer, codes)
    ]
    return {
        "resourceType": "DiagnosticReport",
        "contained": [_describe_device(software), *observed],
        "identifier": [_identify(report_uid)],
        "status": "preliminary",
        "category": [_SERVICE],
        "code": _concept(_STUDY),
        **about,
        "issued": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "result": [{"reference": f"#{content['id']}"} for content in observed],
        "imagingStudy": [_refer("ImagingStudy", source.study)],
        "conclusion": f"{WARNING} {make_mark('predict')}",
    }


def _observe_class(number: int, answer: ImageAnswer, codes) -> list[dict]:
    """Return one observation: the class that is predicted, with the numbers of all classes."""
    predicted = next(score.name for score in answer.scores if score.predicted)
    parts = [part for score in answer.scores for part in _measure(score, codes)] + _measure_unusual(answer)
    named = {"code": _concept(_FINDING), "valueCodeableConcept": _name(predicted, codes)}
    return [{"id": f"answer-{number}", **named, **_describe(answer), "component": parts}]


def _observe_labels(number: int, answer: ImageAnswer, codes) -> list[dict]:
    """Return an observation for each label: whether it is present, with its numbers."""
    return [
        {
            "id": f"answer-{number}-{place}",
            "code": _name(score.name, codes),
            "valueCodeableConcept": _concept(PRESENT if score.predicted else ABSENT),
            **_describe(answer),
            "component": [*_measure(score, codes), *_measure_unusual(answer)],
        }
        for place, score in enumerate(answer.scores, 1)
    ]


def _describe(answer: ImageAnswer) -> dict:
    """Return what an observation was made by and from, and what is odd about that."""
    note = {"note": [{"text": answer.note}]} if answer.note else {}
    images = [_refer_image(shown) for shown in answer.shown]
    study = _refer("ImagingStudy", answer.source.study)
    return {"device": {"reference": f"#{_DEVICE}"}, "derivedFrom": [study, *images], **note}


def _refer_image(shown: Shown) -> dict:
    words = "frame" if len(shown.frames) == 1 else "frames"
    frames = {"display": f"{words} {', '.join(map(str, shown.frames))}"} if shown.frames else {}
    return _refer("Media", shown.image.instance) | frames


def _measure(score: ClassScore, codes) -> list[dict]:
    name = name_class(score.name, codes[score.name])
    made = [
        _quantify(_PROBABILITY, f"Probability of {name}: {method}", value)
        for method, value in ((SCORE, score.score), (CALIBRATED, score.calibrated))
    ]
    if score.threshold is not None:
        made.append(_quantify(_THRESHOLD, f"Threshold of {name}: {SCORE}", score.threshold))
    return made


def _measure_unusual(answer: ImageAnswer) -> list[dict]:
    return [] if answer.unusual is None else [_quantify(None, UNUSUAL_P, answer.unusual)]


def _quantify(code: ClassCode | None, text: str, value: float) -> dict:
    quantity = {"value": float(value), "system": "http://unitsofmeasure.org", "code": "1"}
    return {"code": {**({} if code is None else _concept(code)), "text": text}, "valueQuantity": quantity}


def _describe_device(software: Software) -> dict:
    return {
        "resourceType": "Device",
        "id": _DEVICE,
        "identifier": [_identify(software.uid)],
        "manufacturer": MAKER,
        "serialNumber": software.lock,
        "deviceName": [{"name": software.name, "type": "model-name"}],
        "version": [{"value": software.version}],
        "note": [{"text": text} for text in software.remarks],
    }


def _name_patient(patient_id: str) -> dict:
    return {"type": "Patient", "identifier": {"value": patient_id}}


def _refer(kind: str, uid: str) -> dict:
    return {"type": kind, "identifier": _identify(uid)}


def _identify(uid: str) -> dict:
    return {"system": _UID_SYSTEM, "value": f"urn:oid:{uid}"}


def _name(name: str, codes: Mapping[str, ClassCode]) -> dict:
    """Return the code of a class; in words it is called as everywhere in the report."""
    return _concept(codes[name]) | {"text": name_class(name, codes[name])}


def _concept(code: ClassCode) -> dict:
    system = _SYSTEMS.get(code.scheme)
    coding = {"coding": [{"system": system, "code": code.value, "display": code.meaning}]} if system else {}
    return {**coding, "text": code.meaning}
