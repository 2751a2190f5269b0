"""The first look at the images: the gate, what they are, and which of them play which part."""

import hashlib
import os
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed.advice_report import LENIENT, READING, keep_options
from tlmed.advising.at_hand import read_networks
from tlmed.advising.cures import suggest_cure
from tlmed.advising.goals import KAPPA
from tlmed.advising.image_sketches import sketch_images
from tlmed.advising.part_scores import count_sides
from tlmed.advising.request import Request
from tlmed.backbones.deciding_images import say_taught
from tlmed.data import ImageSet, Table, join_units
from tlmed.errors import CheckFailed, InputError
from tlmed.findings import SHORTCUT, shorten
from tlmed.gate import Findings
from tlmed.gate.corrected_table import find_uncorrectable
from tlmed.inspection import CHECK_JSON, CHECK_PAGE, Inquiry, Subject, open_subject, write_check
from tlmed.inspection.inquiry import Course, inquire
from tlmed.metrics import describe_default, positive_index
from tlmed.pseudonyms import names_owner
from tlmed.run.task_faults import find_task_faults
from tlmed.tasks import ORDINAL
from tlmed.voice import Voice
from tlmed.words import count, join_names

VAL, TEST = "val", "test"
_MOST = 4  # findings of each level on a screen
_CORRECTED = "corrected.csv"


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen.

    Attributes:
        subject: The images as the first probe reads them, in their splits.
        course: What the gate looked at.
        found: What it found.
    """

    subject: Subject
    course: Course
    found: Findings

    @property
    def images(self) -> ImageSet:
        """The images."""
        return self.subject.images


def open_images(request: Request, voice: Voice) -> Subject:
    """Read the images, and refuse those that cannot be divided as training divides them.

    Raises:
        InputError: With what is wrong.
    """
    with voice.busy(f"Reading images of {request.recipe.data.source}"):
        subject = open_subject(request.recipe)
    if subject.undivided:
        raise InputError(f"{subject.undivided} {suggest_cure(subject.images.table, subject.images.sha256)}".rstrip())
    if len(subject.images.table.classes) < 2:
        raise InputError(
            f"There must be images of two classes or more. Received: {subject.source} with "
            f"{join_names(subject.images.table.classes)} only."
        )
    if faults := find_asked_faults(request, subject.images.table):
        raise InputError(faults)
    return subject


def list_places(table: Table) -> list[Path]:
    """Return the folders in which the images are; none where they are no files of their own."""
    if table.root is None:
        return []
    return [table.root / folder for folder in sorted({path.rpartition("/")[0] for path in table.paths})]


def find_asked_faults(request: Request, table: Table) -> list[str]:
    """Return a sentence for all that was asked for and does not go with the classes, before the check takes its time.

    Args:
        request: What is asked for.
        table: The images.
    """
    goal, task = request.goal, request.recipe.find_task(table.is_multi)
    faults = []
    if goal.metric == KAPPA and task != ORDINAL:
        faults.append(
            f"`--goal` {KAPPA} needs grades: `--set data.order=LOWEST,...,HIGHEST` or `--set task=ordinal`. "
            f"Received: {task} images."
        )
    if goal.threshold is not None and not table.is_multi and len(table.classes) != 2:
        faults.append(
            f"`--goal` {goal.text} needs two classes, because it decides the threshold between them. "
            f"Received: {count(len(table.classes), 'class')}."
        )
    return [*faults, *find_task_faults(request.recipe, table)]


def refuse_taught(request: Request, images: ImageSet) -> None:
    """Refuse weights that a user names if they were trained on the development images, by which an advice decides.

    Raises:
        InputError: With each of these weights.
    """
    faults = [
        f"{network.name}: {sentence}"
        for network in read_networks(list(request.networks))
        for sentence in say_taught(network.weights, network.backbone, images)
    ]
    if faults:
        raise InputError(
            [
                "An advice judges networks by development images on which their weights were not trained; leave these "
                f"weights out, or take those of a run on other images. Received: {fault}."
                for fault in faults
            ]
        )


def look(request: Request, subject: Subject, voice: Voice) -> Look:
    """Run the gate, write `check.json` and `check.html`, and say the worst of what it found.

    Raises:
        CheckFailed: If it found errors, and these were not accepted.
    """
    course = Course()
    inquire(subject, Inquiry(skip_bad=request.skip_bad, closed=True), voice, course)
    found = course.describe(subject)
    with voice.busy("Writing the page of the check"):
        page = write_check(request.folder, subject, found)
    for level, findings in (("Error", found.errors), ("Warning", found.warnings)):
        for sentence in shorten(findings, f"in {page}", _MOST):
            voice.say(f"{level}: {sentence}")
    return Look(subject, course, found)


def refuse_errors(request: Request, gate: dict, table: Table, command: str) -> None:
    """Refuse images in which the gate found errors, unless these were accepted.

    Args:
        request: What is asked for.
        gate: As `describe_gate` returns it.
        table: The images.
        command: That of the user, whose options say how the images are read.

    Raises:
        CheckFailed: With what can be done.
    """
    if gate["errors"] and not request.accept:
        kinds = join_names([f"{amount} {kind}" for kind, amount in gate["error_kinds"].items()])
        raise CheckFailed(
            "Images must have no errors before they are learned from: what they say would not hold for new images. "
            f"{_say_correction(request, table, command)}`--accept` goes on all the same. Received: "
            f"{count(gate['errors'], 'error')} ({kinds}); {request.folder / CHECK_PAGE} shows them."
        )


def _say_correction(request, table, command) -> str:
    """Return the command that writes a corrected table; "" where images or folders do not allow one."""
    file = _find_place(table)
    if file is None or not command:
        return ""
    words = ["tlmed", "data", "check", str(request.recipe.data.source), *keep_options(command, READING | LENIENT)]
    written = shlex.join([*words, "--write", str(file)])
    return f"`{written}` writes a table without what can be corrected, and "


def _find_place(table) -> Path | None:
    """Return where a corrected table can be written: paths in it lead from its own folder."""
    if table.root is None:
        return None
    for folder in (Path(), table.root.resolve().parent, table.root):
        file = folder / _CORRECTED
        if not file.exists() and os.access(folder, os.W_OK) and not find_uncorrectable(table, file):
            return file
    return None


def describe_gate(found: Findings, accept: bool) -> dict:
    """Return what `advice.json` says of the gate."""
    return {
        "errors": len(found.errors),
        "warnings": len(found.warnings),
        "accepted": bool(found.errors) and accept,
        "closed": True,
        "kinds": dict(Counter(finding.kind for finding in found.findings)),
        "error_kinds": dict(Counter(finding.kind for finding in found.errors)),
        "texts": [finding.text for finding in found.findings[:20]],
        "shortcuts": [finding.text for finding in found.findings if finding.kind == SHORTCUT],
        "page": CHECK_PAGE,
        "file": CHECK_JSON,
    }


def describe_images(images: ImageSet, request: Request) -> dict:
    """Return what `advice.json` says of the images."""
    table, tested = images.table, images.splits == TEST
    groups = len({group for group in table.groups or () if group and names_owner(group)})
    task = request.recipe.find_task(table.is_multi)
    main = None if table.is_multi else positive_index(table.classes, request.recipe.data.positive)
    return {
        "images": len(table),
        "development": int((~tested).sum()),
        "test": int(tested.sum()),
        "classes": {name: int(table.has(number).sum()) for number, name in enumerate(table.classes)},
        "positive": None if main is None else table.classes[main],
        "positive_doubts": [] if table.is_multi else describe_default(table.classes, request.recipe.data.positive),
        "groups": groups or None,
        "task": task,
        "test_drawn": TEST in images.split_made,
        "sides": count_sides(images, task),
        "validation": _count_validation(images),
        "sketch": sketch_images(images.sha256),
    }


def _count_validation(images) -> dict:
    """Return how many validation images there are, and patients or other units of them, in all and of the rarest."""
    table, chosen = images.table, images.splits == VAL
    units = join_units(table.groups, images.sha256)
    counts = {name: len(np.unique(units[chosen & table.has(number)])) for number, name in enumerate(table.classes)}
    rarest = min(counts, key=counts.get)
    own = {"images": int(chosen.sum()), "units": len(np.unique(units[chosen])), "rarest": rarest}
    return {**own, "fewest": counts[rarest], "grouped": any(map(names_owner, table.groups or ()))}


def digest_images(images: ImageSet) -> dict[str, str]:
    """Return digests of the development images and of the test images: contents, labels, groups."""
    table, tested = images.table, images.splits == TEST
    groups = table.groups or ("",) * len(table)
    rows = np.array(
        [
            f"{digest} {label} {group}"
            for digest, label, group in zip(images.sha256, np.asarray(table.labels).tolist(), groups, strict=True)
        ]
    )
    parts = {"development": rows[~tested], TEST: rows[tested]}
    return {name: hashlib.sha256("\n".join(sorted(part)).encode()).hexdigest() for name, part in parts.items()}


def check_unchanged(known: dict | None, now: dict, folder: Path) -> None:
    """Refuse images that are not those with which an advice began.

    Raises:
        InputError: With which of them changed.
    """
    if known is not None and (changed := [name for name in now if known.get(name) != now[name]]):
        raise InputError(
            "An advice goes on with the images that it began with; choose another `--out` for others. "
            f"Received: other {join_names(changed)} images than in {folder}."
        )
