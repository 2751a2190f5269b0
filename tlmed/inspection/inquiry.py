"""The course of an inspection: look at every image once, run the cheap checks, then those that need a network."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tlmed.data.findings import shorten
from tlmed.errors import InputError
from tlmed.gate import Checked, Findings
from tlmed.gate.battery import CHEAP, WITH_FEATURES, conduct
from tlmed.gate.evidence import Evidence, gather
from tlmed.gate.file_findings import check_files
from tlmed.inspection.check_files import CHECK_JSON, CHECK_PAGE, Targets, check_targets, write_check
from tlmed.inspection.pretrained_features import compute_features
from tlmed.inspection.subjects import Subject, open_run, open_subject
from tlmed.recipe import Recipe, read_recipe, shipped_recipes
from tlmed.rundir import RunDir, find_run
from tlmed.training import open_voice
from tlmed.voice import Voice
from tlmed.words import count, join_names

MOST_LINES = 40  # findings of each level on a screen
PLAIN = "feature_extractor"  # the recipe that images are looked at with, if none is named
_QUICK = "Nothing that needs a network was checked, as was asked for: {0}."
_NEED_FEATURES = "wrong labels, images unlike all others, and how many images are enough"


@dataclasses.dataclass(frozen=True)
class Inquiry:
    """How images are inspected.

    Attributes:
        quick: Leave out what needs a network.
        width: Of the 95 % interval of a test AUC, for which the number of images is wanted, 0..1.
        skip_bad: Images that cannot be read are meant to be left out, so that they are no error.
    """

    quick: bool = False
    width: float = 0.05
    skip_bad: bool = False

    def __post_init__(self):
        if not 0 < self.width < 1:
            raise InputError(f"`width` must be between 0 and 1. Received: width={self.width}.")


def inquire(subject: Subject, inquiry: Inquiry, voice: Voice) -> Iterator[Checked]:
    """Run all checks one after another; what one found is there before the next begins.

    Args:
        subject: The images.
        inquiry: What is asked.
        voice: Where to tell what happens.

    Raises:
        RunFailed: An image changed while it was read.
    """
    yield check_files(subject.images, inquiry.skip_bad)
    if subject.undivided:
        yield Checked("splits", unchecked=(_say_undivided(subject.undivided),))
    yield check_files(subject.images)
    with voice.count("Looking at images", len(subject.images.table)) as tell:
        evidence = gather(subject.images, subject.recipe.seed, tell)
    with voice.busy("Looking for copies, patients in several splits and shortcuts"):
        yield from conduct(evidence, CHEAP)
    yield from _inquire_deeper(subject, inquiry, evidence, voice)


def _inquire_deeper(subject, inquiry, evidence: Evidence, voice) -> Iterator[Checked]:
    if inquiry.quick:
        yield Checked("features", unchecked=(_QUICK.format(_NEED_FEATURES),))
        yield from conduct(evidence, WITH_FEATURES[-1:])
        return
    features, lacking = compute_features(subject.recipe, subject.images, voice)
    evidence = dataclasses.replace(evidence, features=features, lacking=lacking)
    with voice.busy("Looking for wrong labels and odd images"):
        yield from conduct(evidence, WITH_FEATURES)


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
    parts, complete = [], False
    try:
        for part in inquire(subject, inquiry, voice):
            parts.append(part)
        complete = True
    finally:
        found = Findings(subject.source, len(subject.images.table), tuple(parts), complete)
        if parts:
            _tell(subject, found, targets, voice)
    return found


def _tell(subject, found: Findings, targets: Targets, voice) -> None:
    where = f"in {targets.out / CHECK_JSON}" if targets.out is not None else "not shown; --out DIR writes all of them"
    for level, findings in (("Error", found.errors), ("Warning", found.warnings)):
        for sentence in shorten(findings, where, MOST_LINES):
            voice.say(f"{level}: {sentence}")
    for sentence in found.unchecked:
        voice.say(f"Not checked: {sentence}")
    for sentence in subject.notes:
        voice.say(f"Found: {sentence}")
    if targets.out is not None:
        with voice.busy("Writing the page"):
            page = write_check(targets.out, subject, found)
        voice.say(f"Page: {page}")


def say_errors(found: Findings, targets: Targets) -> str:
    """Return the line that ends a check with errors."""
    kinds = join_names(dict.fromkeys(finding.kind for finding in found.errors))
    where = f"{targets.out / CHECK_PAGE} shows them" if targets.out is not None else "they are listed above"
    return (
        f"Images must have no errors of these kinds before they are trained on: {kinds}; {where}. "
        f"Received: data={found.source} with {count(len(found.errors), 'error')}."
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

    >>> found = check("tfds:tlmed_phantoms", quick=True)
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
