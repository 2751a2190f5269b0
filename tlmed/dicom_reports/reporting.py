"""Report predictions to the studies of their images: one report for each study, in DICOM and in FHIR."""

import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tlmed.data.readers.dicom_sources import SourceImage
from tlmed.data.sample_sources import Sources, find_sources
from tlmed.dicom_reports.answering_software import Software, describe_software
from tlmed.dicom_reports.captured_overlays import Overlay, capture, draw_overlays
from tlmed.dicom_reports.class_codes import ClassCode, code_classes, name_class
from tlmed.dicom_reports.fhir_report import make_fhir
from tlmed.dicom_reports.image_answers import (
    ImageAnswer,
    agree_on_study,
    check_patients,
    divide_by_study,
    find_differing,
    make_answers,
)
from tlmed.dicom_reports.report_folder import OPTION, check_report_folder, writing_reports
from tlmed.dicom_reports.structured_report import make_evidence, make_report, make_uid
from tlmed.errors import InputError
from tlmed.inference.loose_images import Answered
from tlmed.inference.panel import open_panel
from tlmed.rundir import RunDir
from tlmed.tasks import read_task
from tlmed.voice import SILENT, Voice
from tlmed.whole_files import write_json
from tlmed.words import count, join_names

if TYPE_CHECKING:
    from pydicom import Dataset

REPORT, FHIR = "report.dcm", "report.json"  # in the folder of a study, which is called by its UID


@dataclass(frozen=True)
class Wanted:
    """What of reports a user asks for.

    Attributes:
        folder: Where they go.
        paths: The files and folders of the images.
        codes: Code, scheme and meaning of classes, in place of those of the recipe.
        overlay: Whether pictures show why each answer was given.
        method: How these are found, as for `tlmed.inference.Pictures`; None: as there.
        block: Likewise.
        force: Whether earlier reports may be replaced.
        skip_bad: Whether files that cannot be read are left out.
    """

    folder: Path
    paths: Sequence[str | Path]
    codes: Mapping[str, tuple[str, str, str]]
    overlay: bool = True
    method: str | None = None
    block: str | None = None
    force: bool = False
    skip_bad: bool = False


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is known before anything is computed.

    Attributes:
        wanted: What a user asks for.
        sources: Which images the files are.
        codes: Of each class.
        software: What will answer.
        task: Of `tlmed.tasks`.
    """

    wanted: Wanted
    sources: Sources
    codes: Mapping[str, ClassCode]
    software: Software
    task: str


def prepare_reports(run: RunDir, wanted: Wanted, voice: Voice = SILENT) -> Prepared:
    """Check all that reports need, by headers and by the run's files, before anything is computed.

    Args:
        run: A complete run, a cross-validation or an ensemble.
        wanted: What a user asks for.
        voice: Where to warn of what headers say in no form that the standard allows.

    Raises:
        InputError: highdicom is missing; the folder cannot be written to; an image is no DICOM, or says not which one
            it is; a study is of several patients; codes are of no class; or pictures are wanted of several networks.
    """
    try:
        importlib.import_module("highdicom")
    except ImportError as error:
        raise InputError(f"`{OPTION}` needs an extra: pip install '.[dicom]'. Received: {error}.") from error
    check_report_folder(wanted.folder, wanted.paths, wanted.force)
    panel = open_panel(run)
    if wanted.overlay:
        panel.refuse_several(f"The picture that `{OPTION}` makes of each answer, and `--no-overlay` does not,")
    codes = code_classes(panel.metrics["classes"], {**(panel.recipe.data.codes or {}), **wanted.codes})
    sources = find_sources(wanted.paths, panel.recipe.data.slicing, wanted.skip_bad)
    check_patients(sources.images)
    odd = Counter(keyword for image in sources.images.values() for keyword in image.odd)
    for keyword, amount in odd.items():
        voice.warn(
            f"{keyword} of {count(amount, 'image')} has no form that the standard allows, and counts as missing there."
        )
    if denied := {name: image.denied for name, image in sources.images.items() if image.denied}:
        keywords = join_names(sorted({keyword for found in denied.values() for keyword in found}))
        voice.warn(
            f"{keywords} in the file meta information of {count(len(denied), 'image')} and in the data set differ: "
            f"reports have that of the data set. First: {next(iter(denied))!r}."
        )
    return Prepared(wanted, sources, codes, describe_software(panel, codes), read_task(panel.metrics))


def write_reports(prepared: Prepared, answered: Answered, voice: Voice = SILENT) -> None:
    """Write a folder for each study: `report.dcm`, `report.json`, and a picture for each answer.

    Args:
        prepared: From `prepare_reports`.
        answered: The answers of the same run for the same images.
        voice: Where to say what was written.

    Raises:
        InputError: Images of one answer are of several studies, something was answered that is no image for a report,
            or files cannot be written; then none is.
    """
    prepared.sources.check(answered.names)
    wanted, answers = prepared.wanted, make_answers(answered, prepared.sources)
    studies = divide_by_study(answers)
    for study, places in studies.items():
        alike = _agree(prepared.sources, study, [answers[place] for place in places], voice)
        for place, answer in zip(places, alike, strict=True):
            answers[place] = answer
    with writing_reports(wanted.folder, wanted.paths, wanted.force) as folder:
        for study in studies:
            (folder / study).mkdir()
        pictures = _write_overlays(prepared, answered, answers, folder) if wanted.overlay else {}
        for study, places in studies.items():
            own = [answers[place] for place in places]
            shown = {number: pictures[place] for number, place in enumerate(places) if place in pictures}
            _write_study(prepared, own, shown, folder / study)
    drawn = sum(map(len, pictures.values()))
    more = f", with {count(drawn, 'picture')}" if wanted.overlay else ""
    said = f"{count(len(answers), 'answer')} in {len(studies):,} {'study' if len(studies) == 1 else 'studies'}"
    voice.say(f"Reported {said}{more}: {wanted.folder}")


def _agree(sources: Sources, study: str, answers: list[ImageAnswer], voice: Voice) -> list[ImageAnswer]:
    """Return answers whose images say what the report of their study says; warn where they differed."""
    if differing := find_differing(answers):
        files = {image.instance: name for name, image in sources.images.items()}
        voice.warn(
            f"{join_names(differing)} {'differ' if len(differing) > 1 else 'differs'} among the images of study "
            f"{study}: its report has what '{files[answers[0].source.instance]}' says."
        )
    alike, is_partly_marked = agree_on_study(answers)
    if is_partly_marked:
        voice.warn(
            f"PatientIdentityRemoved differs among the images of study {study}: its report does not say that the "
            "identity was removed."
        )
    return alike


def _write_study(prepared: Prepared, answers: list[ImageAnswer], pictures, folder: Path) -> None:
    software, codes, task = prepared.software, prepared.codes, prepared.task
    report = make_report(answers, pictures, codes, software, task)
    report.save_as(folder / REPORT, enforce_file_format=True)
    write_json(folder / FHIR, make_fhir(answers, codes, software, task, str(report.SOPInstanceUID)))


def _write_overlays(
    prepared: Prepared, answered: Answered, answers: list[ImageAnswer], folder: Path
) -> dict[int, list["Dataset"]]:
    """Write the pictures into the folders of their studies; return how the report refers to those of each answer."""
    explainer = answered.networks.scorer.explainer(prepared.wanted.method, prepared.wanted.block)
    series: dict[str, str] = {}
    written, found = Counter(), {}
    names = [name_class(name, prepared.codes[name]) for name in answered.panel.metrics["classes"]]
    for overlay in draw_overlays(answered, explainer, names):
        study = answers[overlay.unit].source.study
        written[study] += 1
        own = answers[overlay.unit].source.repeated
        made = _capture(prepared, overlay, own, (series.setdefault(study, make_uid()), written[study], make_uid()))
        made.save_as(folder / study / f"overlay-{written[study]:03d}.dcm", enforce_file_format=True)
        found.setdefault(overlay.unit, []).append(_refer(made))
    return found


def _capture(prepared: Prepared, overlay: Overlay, repeated: Mapping[str, str], place: tuple[str, int, str]):
    # Of an image that shows several planes, the first names the study, and all are the same there.
    shown = prepared.sources.find(overlay.sample)[0]
    return capture(overlay, replace(shown.image, repeated=repeated), shown.frames, prepared.software, place)


def _refer(made: "Dataset") -> "Dataset":
    """Return what a report needs to refer to a picture, without its pixels."""
    uids = (made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPClassUID, made.SOPInstanceUID)
    return make_evidence(SourceImage(*map(str, uids), 1, {}))
