"""The images that a run, or several runs together, are scored on: test images of their own, or another source."""

import tlmed.tensorflow_start

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed.backbones.recollection import HIDDEN, find_cleared, find_earlier, identify, recall
from tlmed.columns import Grouping, suggest_spelling
from tlmed.data import ImageSet, load, open_source
from tlmed.data.class_shares import classify
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.extras import describe_extras
from tlmed.data.familiar import compare_with_run
from tlmed.data.leaks import describe_undecided, find_undecided, name_givers
from tlmed.data.pipeline import regroup
from tlmed.data.recorded import describe_changes, describe_columns, digest_columns
from tlmed.data.tones import describe_tones
from tlmed.errors import InputError
from tlmed.findings import TWO_LABELS
from tlmed.inference.image_notes import read_usual
from tlmed.inference.panel import Panel
from tlmed.inference.seen_images import list_leaked, list_undecided
from tlmed.inference.trained_runs import recall_images
from tlmed.run_files import ENVIRONMENT_JSON, SPLITS_CSV
from tlmed.source_forms import TABLE, TFDS, find_form
from tlmed.source_layout import Layout
from tlmed.words import join_names


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Chosen:
    """The images that a run is scored on.

    Attributes:
        images: All images that were read.
        rows: Which of them are predicted, int [m].
        views: By the rule of each member, the images as it sees them, and the rows of the same m images there.
        listed: The paths and groups of all images that are to be scored, also of those that are gone or cannot be read.
        leaked: The paths of those that training, validation or an earlier run has seen.
        undecided: The paths of others that are scored, of which it cannot be told.
        sentences: What a user should know of them.
        unsure: Why it is not certain which images the runs know that gave the weights.
    """

    images: ImageSet
    rows: np.ndarray
    views: Mapping[PixelRule, tuple[ImageSet, np.ndarray]]
    listed: tuple[Sequence[str], Sequence[str] | None]
    leaked: list[str]
    undecided: list[str]
    sentences: list[str]
    unsure: list[str]


def gather_own(panel: Panel, place: str) -> Chosen:
    """Return a run's own validation and test images that are as they were, of which only the latter are scored.

    Args:
        panel: One network.
        place: Where its images lie.

    Raises:
        InputError: If they cannot be read, or no test image is left as it was.
    """
    trained, run = panel.first, panel.first.run
    earlier = find_earlier(run)
    images, rows, sentences = _recall(trained, place)
    tested = images.splits == "test"
    sentences += describe_undecided(images.table, images.sha256, tested, name_givers(earlier.elsewhere))
    leaked, table = list_leaked(run, earlier.elsewhere), images.table
    hidden = find_undecided(table, images.sha256, earlier.elsewhere) & tested
    recorded = set(list_undecided(run, earlier))
    undecided = [table.paths[row] for row in rows if hidden[row] or table.paths[row] in recorded]
    recorded = [row for row in SPLITS_CSV.read(run) if row["split"] == "test"]
    listed = [row["path"] for row in recorded], [row["group"] for row in recorded]
    views = {trained.rule: (images, rows)}
    return Chosen(images, rows, views, listed, leaked, undecided, sentences, earlier.unsure)


def gather_others(panel: Panel, source: str, grouping: Grouping | None, skip_bad: bool) -> Chosen:
    """Return all images of another source, compared with those that any of the networks knows.

    Args:
        panel: The networks.
        source: Where the images lie.
        grouping: Which column names the groups; None: as in the run, or the one with a usual name.
        skip_bad: Leave out images that cannot be read, by the rule of any network.

    Raises:
        InputError: If they cannot be read, or are of other classes.
    """
    trained, run = panel.first, panel.first.run
    whole = open_source(source, _lay_out_like(trained, source, grouping))
    images = load(whole, trained.rule, None, trained.recipe.seed, skip_bad, known=trained.known)
    _check_classes(images.table.classes, trained.classes)
    elsewhere, unsure = recall(panel.runs, images.table.identifiers)
    there = identify(run)
    familiar = compare_with_run(images, panel.rows, elsewhere, there.pseudonyms, panel.name)
    named, images = images.table, regroup(images, familiar.images.table.groups)
    conflicts = [leak.text for leak in images.leaks if leak.kind == TWO_LABELS]
    table, usual = images.table, read_usual(run)
    held = describe_tones(table.paths, images.pixels.tones, classify(table, images.sha256), usual)
    sentences = [*dict.fromkeys((*images.warnings, *held)), *conflicts, *familiar.sentences]
    gap = there.find_gap(table.identifiers)
    if gap:
        sentences.append(f"Whether {panel.name} was trained on some of these images cannot be told: {gap}.")
    views = _view(panel, whole, images, skip_bad)
    paths, rows = table.paths, views[trained.rule][1]
    leaked = [paths[row] for row in rows if familiar.leaked[row]]
    hidden = familiar.undecided
    if unsure or gap:
        cleared = find_cleared(panel.runs, named.identifiers, images.sha256, named.groups)
        hidden = ~familiar.leaked & (hidden | ~cleared | bool(gap))
        if unsure and cleared.any() and not (hidden & ~cleared).any():
            unsure = [HIDDEN]
    undecided = [paths[row] for row in rows if hidden[row]]
    # Groups may be those that the run recorded; of an image that cannot be read, only the source can name one.
    named = dict(zip(paths, table.groups or [""] * len(paths), strict=True))
    own = whole.groups or [""] * len(whole)
    listed = whole.paths, [named.get(path, group) for path, group in zip(whole.paths, own, strict=True)]
    return Chosen(images, rows, views, listed, leaked, undecided, sentences, unsure)


def _view(panel, whole, images, skip_bad) -> dict[PixelRule, tuple[ImageSet, np.ndarray]]:
    """Return the images by the rule of each member, with the rows of those that all can read."""
    views = {panel.first.rule: images}
    for member, weight in zip(panel.members, panel.weights, strict=True):
        if weight and member.rule not in views:
            seed = member.recipe.seed
            views[member.rule] = load(whole, member.rule, None, seed, skip_bad, known=member.known)
    common = set(images.table.paths).intersection(*(view.table.paths for view in views.values()))
    if not common:
        raise InputError("One image or more must be readable by the rules of all members. Received: none.")
    return {
        rule: (view, np.array([row for row, path in enumerate(view.table.paths) if path in common], int))
        for rule, view in views.items()
    }


def _lay_out_like(trained, source: str, grouping: Grouping | None) -> Layout:
    """Return how a run read its own source, for another one, with groups as the user says, if anything.

    That the run's own images have no groups says nothing of other images: a column with a usual name is taken.
    """
    recipe = trained.recipe
    form, own = find_form(source), recipe.data.grouping
    layout = trained.layout.for_another(alike=form == find_form(recipe.data.source))
    if form not in (TABLE, TFDS):
        own = Grouping(use=own.use, folders=own.folders)
    elif own.column is not None:
        own = replace(own, may_lack=True)
    elif not own.use:
        own = Grouping(ask=False)
    return replace(layout, grouping=grouping or own)


def _recall(trained, source) -> tuple[ImageSet, np.ndarray, list[str]]:
    """Return a run's own images, the rows of those that are scored, and sentences about the others."""
    run, recorded = trained.run, SPLITS_CSV.read(trained.run)
    found = recall_images(trained, source, "--data PLACE --moved")
    splits = found.images.splits
    if not (found.same & (splits == "test")).any():
        raise InputError(
            "At least one test image of RUN must be as it was when RUN was trained. "
            f"Received: {run.path} with data={source}: {'; '.join(found.changes.name()) or 'no test image'}."
        )
    tested = sum(row["split"] == "test" for row in recorded)
    # Validation images are predicted too, as in the run's own table; only test images are scored.
    rows = np.flatnonzero(found.same & np.isin(splits, ("val", "test")))
    table = found.images.table.take(rows)
    pixels = found.images.pixels
    classed = classify(table, [found.images.sha256[row] for row in rows])
    held = describe_tones(table.paths, pixels.tones[rows], classed)
    unused = describe_extras(table.paths, [pixels.extras[row] for row in rows])
    columns = ENVIRONMENT_JSON.read(run, "data")["data"].get("columns")
    moved = _describe_columns(found.images, tested, columns)
    return found.images, rows, [*describe_changes(found, tested), *moved, *held, *unused]


def _describe_columns(images, tested, recorded) -> list[str]:
    """Compare the columns of a run's test images with those that it recorded; an older run recorded none.

    The digest of a column is of all test images: where one is missing, only names of columns can be compared.
    """
    if recorded is None:
        return []
    now, since = digest_columns(images.table, images.splits), "the run was trained"
    if int((images.splits == "test").sum()) == tested:
        return describe_columns(recorded, now, since)
    sentences = describe_columns(dict.fromkeys(recorded, ""), dict.fromkeys(now, ""), since)
    if both := [repr(name) for name in now if name in recorded]:
        sentences.append(
            f"Whether {join_names(both)} {'is' if len(both) == 1 else 'are'} as when {since} cannot be told, because "
            "test images are missing: subgroups are by what stands there now."
        )
    return sentences


def _check_classes(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse images of other classes than the run's, by name."""
    if list(found) == list(wanted):
        return
    kinds = {"without": [name for name in wanted if name not in found], "with": [n for n in found if n not in wanted]}
    differ = " and ".join(f"{how} {', '.join(map(repr, names))}" for how, names in kinds.items() if names)
    near = "".join(suggest_spelling(name, wanted) for name in kinds["with"])
    raise InputError(
        f"The images must have the run's classes, by the same names: {', '.join(wanted)}.{near} "
        f"Received: classes={', '.join(found)}; {differ}."
    )
