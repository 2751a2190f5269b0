"""The cheap part of the gate at the start of a run: what it finds is said before training, and kept in the run."""

from collections import Counter
from collections.abc import Collection

from tlmed.cache import Store, cache_folder, limit_features
from tlmed.data import ImageSet
from tlmed.errors import CheckFailed, InputError
from tlmed.findings import IDENTICAL, MASK, UNREADABLE, WARNING, Finding, shorten
from tlmed.gate import Findings
from tlmed.gate.battery import CHEAP, conduct
from tlmed.gate.evidence import gather, take_asked
from tlmed.gate.file_findings import check_files
from tlmed.gate.kept_evidence import NOWHERE, Memory
from tlmed.recipe import Recipe
from tlmed.run.clock import CHECK
from tlmed.run.job import Job
from tlmed.run_files import CHECK_JSON
from tlmed.run_files.check_summary import say_amounts
from tlmed.rundir import RunDir
from tlmed.voice import Voice

_MOST = 6  # sentences on a screen
_DEEPER = (
    "copies by features, wrong labels, images unlike all others and how many images are enough: `tlmed data check` "
    "looks for these"
)


def check_images(job: Job, images: ImageSet, is_first: bool = True) -> Findings | None:
    """Look for leaks, shortcuts and odd images, without a network; say what was found.

    Args:
        job: The run. A run that goes on has the findings of its beginning, and looks again only if it is strict.
        images: In their splits.
        is_first: Whether a fold of a cross-validation is the first that is read: all have the same images, and what is
            found is said once.

    Returns:
        What was found; None if the run has it already.

    Raises:
        CheckFailed: If the run is strict and an error was found.
    """
    if not job.fresh and not job.strict and _has_findings(job.run):
        return None
    with job.clock.stage(CHECK), job.voice.count("Looking at images", len(images.table)) as tell:
        evidence = gather(images, job.recipe.seed, tell, open_memory(job.recipe, job.voice))
        evidence = take_asked(evidence, job.recipe.data)
        parts = (check_files(images, job.skip_bad), *conduct(evidence, CHEAP))
        found = Findings(images.table.source, len(images.table), parts)
    if job.strict and found.errors:
        raise CheckFailed([finding.text for finding in found.errors])
    if is_first:
        _tell(job, found, {leak.text for leak in images.leaks})
    return found


def open_memory(recipe: Recipe, voice: Voice) -> Memory:
    """Return where a check of a recipe's images keeps what it computes from their pixels: in the store, if it is used.

    Args:
        recipe: The recipe.
        voice: Warns of damaged files.
    """
    return NOWHERE if recipe.cache == "off" else Memory(Store(cache_folder(), limit_features()), voice.warn)


def _tell(job: Job, found: Findings, leaks: Collection[str]) -> None:
    """Name errors that reading the images has not told; count all errors, and warnings, which may be harmless.

    The counts are those of `check.json`. Its whole path is named: a cross-validation has one for each fold.
    """
    file = job.run / CHECK_JSON.name
    for sentence in shorten((one for one in found.errors if not _was_told(one, leaks)), f"listed in {file}", _MOST):
        job.voice.warn(f"Error in the data: {sentence}")
    errors, warnings = (Counter(one.kind for one in part) for part in (found.errors, found.warnings))
    if amounts := say_amounts(errors, warnings):
        job.voice.say(f"Check of the data: {amounts}, in the report and in {file}")


def _was_told(finding: Finding, leaks: Collection[str]) -> bool:
    """Tell whether reading the images has said it: leaks in the same words, copies within a split as a count."""
    if finding.kind == IDENTICAL and finding.level == WARNING:
        return True
    return finding.kind in (UNREADABLE, MASK) or finding.text in leaks


def _has_findings(run: RunDir) -> bool:
    """Tell whether a run has its findings, readable; damaged ones are found again."""
    try:
        return bool(CHECK_JSON.find(run))
    except InputError:
        return False


def write_findings(job: Job, found: Findings | None) -> None:
    """Write `check.json` of a run; nothing where it is there already."""
    if found is not None:
        CHECK_JSON.write(job.run, {**found.to_json(), "unchecked": [*found.unchecked, f"Not looked for: {_DEEPER}."]})
