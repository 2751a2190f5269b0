"""What networks answered for images, in plain data: each class with its numbers, and the images that they are of."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tlmed.data.readers.dicom_sources import PATIENT, REMOVED, SourceImage
from tlmed.data.sample_sources import Shown, Sources
from tlmed.errors import InputError
from tlmed.evaluation.prediction_rows import NOTE, UNUSUAL
from tlmed.inference.loose_images import Answered
from tlmed.metrics import positive_index
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import join_names, listed

_NAMED = 3


@dataclass(frozen=True)
class ClassScore:
    """What is said of one class, or label, of an image.

    Attributes:
        name: The class.
        predicted: Whether it is the answer, or one of several.
        score: What the network gives for it, 0..1.
        calibrated: The calibrated probability, 0..1.
        threshold: The score from which on it is predicted; None where another rule decides.
    """

    name: str
    predicted: bool
    score: float
    calibrated: float
    threshold: float | None = None


@dataclass(frozen=True)
class ImageAnswer:
    """The answer for an image, or for all images of a file or a volume together.

    Attributes:
        scores: Of each class.
        shown: The images.
        note: What is odd about the values of its images; "" for nothing.
        unusual: The p-value of an image that is like those of training, 0..1; None where the run cannot tell.
    """

    scores: tuple[ClassScore, ...]
    shown: tuple[Shown, ...]
    note: str = ""
    unusual: float | None = None

    @property
    def source(self) -> SourceImage:
        """Return the first of its images, which says of which study they are."""
        return self.shown[0].image


def make_answers(answered: Answered, sources: Sources) -> list[ImageAnswer]:
    """Return the answers of networks, one for each unit.

    Args:
        answered: From `tlmed.inference.answer`.
        sources: The files of the images.

    Raises:
        InputError: The frames of a file cannot be told any more.
    """
    classes, chosen = answered.panel.metrics["classes"], answered.answers.chosen
    thresholds = _find_thresholds(answered.panel)
    several = read_task(answered.panel.metrics) == MULTI_LABEL
    odd, notes = (_take_column(answered, name) for name in (UNUSUAL, NOTE))
    found = []
    samples = [[] for _ in answered.units]
    for name, unit in zip(answered.names, answered.answers.members.tolist(), strict=True):
        samples[unit].append(name)
    for unit, names in enumerate(samples):
        hits = chosen[unit] == 1 if several else [column == chosen[unit] for column in range(len(classes))]
        numbers = zip(classes, hits, answered.answers.pooled[unit], answered.calibrated[unit], strict=True)
        scores = tuple(
            ClassScore(label, bool(hit), float(score), float(calibrated), thresholds.get(label))
            for label, hit, score, calibrated in numbers
        )
        p = odd[unit] if odd else ""
        shown = _find_shown(sources, names)
        found.append(ImageAnswer(scores, shown, notes[unit] if notes else "", None if p == "" else float(p)))
    return found


def _find_shown(sources: Sources, names: Sequence[str]) -> tuple[Shown, ...]:
    """Return the images that samples of one answer show, each once, with all frames that one of them shows."""
    found: dict[str, Shown] = {}
    for name in names:
        try:
            shown = sources.find(name)
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"Images must stay as they are while they are reported. Received: '{name}'.") from error
        for one in shown:
            other = found.setdefault(one.image.instance, one)
            found[one.image.instance] = Shown(one.image, join_frames(one, other))
    return tuple(found.values())


def join_frames(one: Shown, other: Shown) -> tuple[int, ...]:
    """Return the frames that two samples of one image show; none where these are all.

    >>> from types import SimpleNamespace
    >>> image = SimpleNamespace(frames=3)
    >>> join_frames(Shown(image, (3, 1)), Shown(image, (1,))), join_frames(Shown(image, (1, 2)), Shown(image, (3,)))
    ((1, 3), ())
    """
    if not (one.frames and other.frames):
        return ()
    frames = tuple(sorted({*one.frames, *other.frames}))
    return frames if len(frames) < one.image.frames else ()


def _take_column(answered: Answered, name: str) -> list | None:
    if name not in answered.columns:
        return None
    place = answered.columns.index(name)
    return [row[place] for row in answered.rows]


def _find_thresholds(panel) -> dict[str, float]:
    """Return the threshold of each label, or of the positive one of two classes; nothing where another rule decides."""
    metrics, decision = panel.metrics, panel.decision
    classes = metrics["classes"]
    if read_task(metrics) == MULTI_LABEL:
        return dict(zip(classes, decision.thresholds, strict=True))
    main = positive_index(classes, metrics["positive"])
    return {} if main is None or decision.threshold is None else {classes[main]: decision.threshold}


def check_patients(images: Mapping[str, SourceImage]) -> None:
    """Refuse images of several patients in one study, whose report would name one of them.

    IDs and their issuers must be the same. Names (without case, spaces and trailing carets), birth dates and sexes may
    be missing, but not differ: with no ID, or the same, they tell two patients.

    Args:
        images: Those of all studies, by the names of their files.

    Raises:
        InputError: With the studies, and with the elements that tell the patients, without their values, and a file of
            each of two patients.
    """
    patients: dict[str, dict[tuple, dict]] = {}
    for name, image in images.items():
        found = patients.setdefault(image.study, {})
        for told, value in _tell_patient({**image.repeated, **image.odd}).items():
            found.setdefault(told, {}).setdefault(value, name)
    mixed = []
    for study, found in patients.items():
        if apart := {keyword: files for (keyword, _), files in found.items() if len(files) > 1}:
            mixed.append(f"{study} (by {_name_patients(apart)})")
    if mixed:
        raise InputError(f"All images of a study must be of one patient. Received: several in {listed(mixed, _NAMED)}.")


def _name_patients(apart: Mapping[str, Mapping[object, str]]) -> str:
    """Name the elements that tell patients, and a file of each of two, without a value."""
    first, *others = apart
    (one, file), (other, another), *_ = apart[first].items()
    if first == "PatientID":  # told by the ID and its issuer
        place = 0 if one[0] != other[0] else 1
        one, other, first = one[place], other[place], ("PatientID", "IssuerOfPatientID")[place]
    files = [f"{name!r}{'' if value else f', which has no {first}'}" for value, name in ((one, file), (other, another))]
    return f"{join_names([first, *others])}: {join_names(files)}"


def _tell_patient(said: Mapping[str, str]) -> dict[tuple[str, int], object]:
    """Return what must be the same in all images of a patient that say it, by keyword and number of the part.

    A name has up to three forms, such as in Latin letters and in Chinese ones (PS3.5, 6.2): like is compared with like.
    """
    found = {("PatientID", 0): (said["PatientID"], said["IssuerOfPatientID"])}
    for part, form in enumerate(said["PatientName"].split("=")):
        found["PatientName", part] = _simplify_name(form)
    for keyword in ("PatientBirthDate", "PatientSex"):
        found[keyword, 0] = said[keyword]
    return {told: value for told, value in found.items() if value}


def _simplify_name(form: str) -> str:
    """Return a form of a name without what programs write differently.

    >>> _simplify_name("Doe^Jane ^^^") == _simplify_name("DOE^JANE")
    True
    """
    return "".join(unicodedata.normalize("NFKC", form).casefold().split()).rstrip("^")


def agree_on_study(answers: Sequence[ImageAnswer]) -> tuple[list[ImageAnswer], bool]:
    """Let all images of a study say of patient and study what its report says; tell whether they differ in the mark.

    An element of the patient is that of the first image that has it: `check_patients` has seen that they do not differ.
    The mark that the identity was removed needs all images: of one that holds the identity it would be untrue.

    Args:
        answers: Those for images of one study.

    Returns:
        The answers, and whether only some of the images are marked.
    """
    said = [shown.image.repeated for answer in answers for shown in answer.shown]
    first = {keyword: next((one for one in said if one[keyword]), said[0]) for keyword in PATIENT}
    agreed = {**said[0], **{keyword: one[keyword] for keyword, one in first.items()}}
    agreed["IssuerOfPatientID"] = first["PatientID"]["IssuerOfPatientID"]  # an ID is one of its issuer's
    marks = {one["PatientIdentityRemoved"] for one in said}
    if len(marks) > 1:
        agreed |= dict.fromkeys(REMOVED, "")
    alike = [
        replace(
            answer,
            shown=tuple(replace(shown, image=replace(shown.image, repeated=agreed)) for shown in answer.shown),
        )
        for answer in answers
    ]
    return alike, len(marks) > 1


def find_differing(answers: Sequence[ImageAnswer]) -> list[str]:
    """Return the keywords of the accession number and date where images of a study differ: their report has one."""
    said = [shown.image.repeated for answer in answers for shown in answer.shown]
    return [keyword for keyword in ("AccessionNumber", "StudyDate") if len({one[keyword] for one in said}) > 1]


def divide_by_study(answers: Sequence[ImageAnswer]) -> dict[str, list[int]]:
    """Return the places of the answers for each study, by the study's UID.

    Raises:
        InputError: Images of one answer are of several studies.
    """
    studies: dict[str, list[int]] = {}
    for place, answer in enumerate(answers):
        own = sorted({shown.image.study for shown in answer.shown})
        if len(own) > 1:
            raise InputError(
                "Images that have one answer together must be of one study, which the answer is reported to. "
                f"Received: a volume with images of the studies {listed(own, _NAMED)}."
            )
        studies.setdefault(own[0], []).append(place)
    return studies
