"""The course of an inspection: look at every image once, run the cheap checks, then those that need a network."""

import dataclasses
import functools
import shlex
from pathlib import Path

from tlmed.errors import InputError, one_line
from tlmed.findings import shorten
from tlmed.gate import Checked, Findings
from tlmed.gate.battery import CHEAP, DESCRIBING, WITH_FEATURES, conduct
from tlmed.gate.corrected_table import correct_table, name_left_out, write_corrected
from tlmed.gate.evidence import Evidence, gather, take_asked
from tlmed.gate.file_findings import check_files
from tlmed.gate.learning_curves import forecast
from tlmed.gate.near_copies import NEAR_COPIES, read_pairs
from tlmed.inference.masked_centre import NAME as NETWORK
from tlmed.inference.masked_centre import check_run
from tlmed.inspection.check_files import CHECK_JSON, CHECK_PAGE, Targets, check_targets, write_check
from tlmed.inspection.pretrained_features import compute_features
from tlmed.inspection.subjects import Subject, open_run, open_subject
from tlmed.recipe import Recipe, read_recipe, shipped_recipes
from tlmed.run.gate_check import open_memory
from tlmed.rundir import RunDir, find_run
from tlmed.targets import writing_out
from tlmed.training import open_voice
from tlmed.voice import Voice
from tlmed.words import count, join_names

MOST_LINES = 40  # findings of each level on a screen
PLAIN = "feature_extractor"  # the recipe that images are looked at with, if none is named
_QUICK = "Nothing that needs a network was checked, as was asked for: {0}."
_CLOSED = (
    "Shortcuts and wrong labels of test images were not looked for: they stay closed until it is decided what to "
    "advise. `tlmed data check` looks for them in all images."
)
_STOPPED = "The check was stopped before it had described the images."
_NEED_FEATURES = (
    "copies that only features bring together",
    "wrong labels",
    "images unlike all others",
    "how many images are enough",
)
_NETWORK = {NETWORK: "what the network looks at"}  # of a run


# What each check looks for, by its name: without features, and with them.
_CHEAP = {
    "copies": "identical images and patients in several splits",
    NEAR_COPIES: "near-copies",
    "patients": "patients under two names",
    "shortcuts": "shortcuts",
    "quality": "images of odd pixels",
}
_DEEP = {
    "near-copies-by-features": "near-copies by features",
    "labels": "wrong labels",
    "outliers": "images unlike all others",
    "forecast": "how many images are enough",
}


@dataclasses.dataclass(frozen=True)
class Inquiry:
    """How images are inspected.

    Attributes:
        quick: Leave out what needs a network.
        width: Of the 95 % interval of a test AUC, for which the number of images is wanted, 0..1.
        skip_bad: Images that cannot be read are meant to be left out, so that they are no error.
        closed: Labels of test images stay closed: shortcuts and wrong labels are looked for in the other images.
    """

    quick: bool = False
    width: float = 0.05
    skip_bad: bool = False
    closed: bool = False

    def __post_init__(self):
        if not 0 < self.width < 1:
            raise InputError(f"`width` must be between 0 and 1. Received: width={self.width}.")


@dataclasses.dataclass
class Course:
    """How far an inspection got.

    Attributes:
        parts: What each check found, in order.
        evidence: What checks looked at; None before every image was read.
        complete: Whether all checks ran to their end.
    """

    parts: list[Checked] = dataclasses.field(default_factory=list)
    evidence: Evidence | None = None
    complete: bool = False

    def describe(self, subject: Subject) -> Findings:
        """Return what was found so far, and what was not looked for if somebody stopped it."""
        parts = list(self.parts)
        if not self.complete:
            held = {part.name for part in parts}
            sought = _CHEAP | _DEEP | (_NETWORK if subject.run is not None else {})
            left = [words for name, words in sought.items() if name not in held]
            said = f"The check was stopped, and did not look for {join_names(left)}." if left else _STOPPED
            parts.append(Checked("stopped", unchecked=(said,)))
        return Findings(subject.source, len(subject.images.table), tuple(parts), self.complete)


def inquire(subject: Subject, inquiry: Inquiry, voice: Voice, course: Course) -> None:
    """Run all checks one after another; what one found is noted before the next begins.

    Args:
        subject: The images.
        inquiry: What is asked.
        voice: Where to tell what happens.
        course: Where to note what was found.

    Raises:
        RunFailed: An image changed while it was read.
    """
    course.parts.append(check_files(subject.images, inquiry.skip_bad))
    if subject.undivided:
        course.parts.append(Checked("splits", unchecked=(_say_undivided(subject.undivided),)))
    if inquiry.closed:
        course.parts.append(Checked("closed", unchecked=(_CLOSED,)))
    with voice.count("Looking at images", len(subject.images.table)) as tell:
        evidence = gather(subject.images, subject.recipe.seed, tell, open_memory(subject.recipe, voice))
        evidence = dataclasses.replace(take_asked(evidence, subject.recipe.data), closed=inquiry.closed)
        course.evidence = evidence
    with voice.busy("Looking for copies, patients in several splits and shortcuts"):
        course.parts.extend(conduct(evidence, CHEAP))
    if inquiry.quick:
        course.parts.append(Checked("features", unchecked=(_QUICK.format(_list_skipped(subject)),)))
    else:
        features, lacking = compute_features(subject.recipe, subject.images, voice)
        (copies,) = (read_pairs(evidence, part) for part in course.parts if part.name == NEAR_COPIES)
        evidence = dataclasses.replace(evidence, features=features, lacking=lacking, copies=copies)
        course.evidence = evidence
        with voice.busy("Looking for more copies, wrong labels and odd images"):
            course.parts.extend(conduct(evidence, (*WITH_FEATURES, functools.partial(forecast, width=inquiry.width))))
    if subject.run is not None and not inquiry.quick:
        with voice.busy("Looking at what the network looks at"):
            course.parts.append(check_run(subject.run, subject.moved))
    course.parts.extend(conduct(evidence, DESCRIBING))
    course.complete = True


def _list_skipped(subject) -> str:
    return join_names([*_NEED_FEATURES, *(_NETWORK.values() if subject.run is not None else ())])


def _say_undivided(why: str) -> str:
    return f"The images could not be divided into train, val and test, so nothing could cross: {why}"


def inspect(subject: Subject, inquiry: Inquiry, targets: Targets, voice: Voice) -> Findings:
    """Run all checks, say what they find, and write it down; also if somebody stops them, as far as they got.

    Args:
        subject: The images.
        inquiry: What is asked.
        targets: Where to write, as `check_targets` allowed it.
        voice: Where to tell what happens.

    Raises:
        InputError: If something cannot be written.
        RunFailed: An image changed while it was read.
    """
    for line in subject.words:
        voice.say(line)
    course = Course()
    try:
        inquire(subject, inquiry, voice, course)
    finally:
        found = course.describe(subject)
        if course.parts:
            _tell(subject, found, targets, voice)
    if targets.write is not None:
        voice.say(_write_table(course.evidence, found, targets.write))
    return found


def _tell(subject, found: Findings, targets: Targets, voice) -> None:
    where = f"in {targets.out / CHECK_JSON}" if targets.out is not None else "not shown; --out DIR writes all of them"
    for level, findings in (("Error", found.errors), ("Warning", found.warnings)):
        for sentence in shorten(findings, where, MOST_LINES):
            voice.say(f"{level}: {sentence}")
    for sentence in found.unchecked:
        voice.say(f"Not checked: {one_line(sentence)}")
    for sentence in subject.notes:
        voice.say(f"Found: {one_line(sentence)}")
    if targets.out is not None:
        with voice.busy("Writing the page"):
            page = write_check(targets.out, subject, found)
        voice.say(f"Page: {page}")


def _write_table(evidence: Evidence, found: Findings, file: Path) -> str:
    """Write the corrected table, and return what was written."""
    corrected = correct_table(evidence, found.findings, file)
    with writing_out(file, "--write"):
        write_corrected(file, corrected)
    out = len(corrected.left_out)
    left = f"; {count(out, 'image')} left out, listed in {name_left_out(file)}" if out else ""
    joined = f"; {count(corrected.joined, 'image')} in another group than before" if corrected.joined else ""
    options = f" {corrected.options}" if corrected.options else ""
    return (
        f"Written: {file}, {count(len(corrected.rows), 'image')}{joined}{left}. Take it with "
        f"`--data {shlex.quote(str(file))}{options}`."
    )


def say_errors(found: Findings, targets: Targets) -> str:
    """Return the line that ends a check with errors."""
    kinds = join_names(dict.fromkeys(finding.kind for finding in found.errors))
    where = f"{targets.out / CHECK_PAGE} shows them" if targets.out is not None else "they are listed above"
    return (
        f"Images must have no errors of these kinds before they are trained on: {kinds}; {where}. "
        f"Received: {found.source} with {count(len(found.errors), 'error')}."
    )


def check(
    data: str | Path | Recipe,
    *,
    out: str | Path | None = None,
    quick: bool = False,
    width: float = 0.05,
    skip_bad: bool = False,
    verbose: bool | str = "auto",
) -> Findings:
    """Look for leaks, shortcuts, wrong labels and odd images before anything is trained.

    Args:
        data: Images, in any form that `--data` takes; a recipe, its file, or a shipped recipe's name, for its images;
            or the directory of a finished run.
        out: Write `check.json` and `check.html` here.
        quick: Leave out what needs a network.
        width: Of the 95 % interval of a test AUC, for which the number of images is wanted, 0..1.
        skip_bad: Images that cannot be read are meant to be left out, so that they are a warning and no error.
        verbose: True shows what is waited for, False nothing; `"auto"` shows it in a terminal or a notebook.

    Raises:
        InputError: The images cannot be read, or `out` cannot be written to.

    >>> found = check("tfds:tlmed_phantoms/images=60", quick=True)
    >>> found.errors, found.complete
    ((), True)
    """
    targets, inquiry, voice = (
        Targets(None if out is None else Path(out)),
        Inquiry(quick, width, skip_bad),
        open_voice(verbose),
    )
    check_targets(targets, str(data))
    return inspect(_open(data), inquiry, targets, voice)


def _open(data) -> Subject:
    if isinstance(data, Recipe):
        return open_subject(data)
    text = str(data)
    if RunDir(Path(text)).exists:
        return open_run(find_run(text))
    if text in shipped_recipes() or text.endswith(".py"):
        return open_subject(read_recipe(text).recipe)
    plain = read_recipe(PLAIN).recipe
    return open_subject(dataclasses.replace(plain, data=dataclasses.replace(plain.data, source=text)))
