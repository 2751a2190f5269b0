"""From a source to batches: read every image once, split, feed uint8 pixels to training and evaluation."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlmed.data.broken_images import check_broken
from tlmed.data.class_shares import classify
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.extras import describe_extras
from tlmed.data.kinds import describe_others, find_kind
from tlmed.data.known_files import KnownPixels
from tlmed.data.leaks import find_leaks
from tlmed.data.learned import Learned
from tlmed.data.masks import describe_two_values, find_masks
from tlmed.data.orders import balanced_order, epoch_order
from tlmed.data.readers import describe_endings, is_image
from tlmed.data.reading import Pixels, Unmeasured, read_all, settle
from tlmed.data.replica_shares import ALONE, Share
from tlmed.data.samples import take_samples
from tlmed.data.sources import open_source
from tlmed.data.split_words import describe
from tlmed.data.splits import assign_splits, find_scheme_faults
from tlmed.data.table import Table, check_names, describe_files, describe_skipped
from tlmed.data.tones import describe_tones, describe_unwindowed
from tlmed.data.walking import describe_unfollowed, find_hidden, find_unfollowed, naming_unreadable, visible_files
from tlmed.errors import InputError
from tlmed.findings import Finding
from tlmed.regular_files import check_exists, read_regular
from tlmed.sections import KFold
from tlmed.slicing import WHOLE, Slicing, Tiling
from tlmed.source_forms import TABLE, find_form
from tlmed.split_names import UNUSED
from tlmed.words import count

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Hold what a run trains and is evaluated on: usable images in canonical order, with their splits.

    Args:
        table: The usable images, sorted by path.
        splits: "train", "val" or "test" for every image; "unused" for those that a recipe leaves aside.
        sha256: The digest of every image's content (of its pixels for `.npz`).
        image_size: Height and width in pixels.
        broken: Path and reason of every image that was left out.
        warnings: Sentences to print.
        leaks: Findings that name byte-identical images and groups in several splits, and images under several
            labels.
        split_made: Which splits tlmed decided: all, none, or `val` alone, split off a given `train`. All and `INNER`
            where it made them from the development images of given splits.
        pixels: Where the pixels come from.
        views: Versions of each training image that `pixels` holds after its rows; epochs take turns with them.
        elsewhere: What each of the runs learned from that gave the weights, by its directory.
        certain: Whether these are all that gave weights, and it is known which images they know.
        broken_groups: The group of every image in `broken`, "" for none.
        apart: How many of the unused images are test images that `data.inner` puts aside.
    """

    table: Table
    splits: np.ndarray
    sha256: tuple[str, ...]
    image_size: tuple[int, int]
    broken: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    leaks: tuple[Finding, ...]
    split_made: tuple[str, ...]
    pixels: Pixels = field(repr=False)
    views: int = 0
    elsewhere: Mapping[str, Learned] = field(default_factory=dict, repr=False)
    certain: bool = True
    broken_groups: tuple[str, ...] = ()
    apart: int = 0

    def indices(self, split: str) -> np.ndarray:
        """Return the row numbers of a split, int64, ascending."""
        return np.flatnonzero(self.splits == split)

    @property
    def used(self) -> np.ndarray:
        """Return the row numbers of the images of train, val and test, int64, ascending."""
        return np.flatnonzero(self.splits != UNUSED)

    def batches(self, indices: Sequence[int], batch_size: int) -> "tf.data.Dataset":
        """Return batches in the order of `indices`, once; the last one may be smaller.

        Args:
            indices: Row numbers.
            batch_size: Images per batch.

        Returns:
            A data set of uint8 [b, height, width, 3] and int64 [b].
        """
        return self.pixels.batches(indices, self.table.labels, batch_size)

    def training_batches(
        self,
        indices: Sequence[int],
        batch_size: int,
        seed: int,
        begin: tuple[int, int] = (0, 0),
        share: Share = ALONE,
        balanced: bool = False,
    ) -> "tf.data.Dataset":
        """Return the batches of one epoch after the other, without end.

        Epoch e visits `indices[epoch_order(len(indices), seed, e)]`, in their version `e % views` if there are any; if
        balanced, `indices[balanced_order(labels[indices], seed, e)]`. A batch never mixes epochs: the last one of each
        may be smaller.

        Args:
            indices: Row numbers.
            batch_size: Images per batch, of all replicas together.
            seed: The run's seed.
            begin: The epoch and the step to begin with; a resumed run goes on in the order of an uninterrupted one.
            share: The replicas whose parts of each batch are wanted, one element for each.
            balanced: Draw all classes equally often.

        Returns:
            An endless data set of uint8 [b, height, width, 3] and int64 [b].
        """
        from tlmed.data.row_batches import order_epochs, split_batches, state_endless

        indices, labels = np.asarray(indices, np.int64), self.table.labels
        own = labels[indices]
        if self.views:
            labels = np.concatenate([labels, *[own] * self.views])

        # Rows of the versions follow the rows of all images: version 0 of each training image, then version 1, ...
        def visit(epoch: int) -> np.ndarray:
            order = balanced_order(own, seed, epoch) if balanced else epoch_order(len(indices), seed, epoch)
            return len(self.splits) + epoch % self.views * len(indices) + order if self.views else indices[order]

        epochs = order_epochs(visit, len(indices), batch_size, begin)
        return state_endless(self.pixels.batches(split_batches(epochs, share), labels))


@dataclass(frozen=True, eq=False)
class FileImages:
    """Hold images without labels, as `predict` takes them.

    Args:
        pixels: Where the pixels come from.
        rows: Row numbers of the usable ones, int64.
        notes: Sentences that a user should see.
    """

    pixels: Pixels = field(repr=False)
    rows: np.ndarray
    notes: tuple[str, ...] = ()

    def batches(self, batch_size: int) -> "tf.data.Dataset":
        """Return uint8 [b, height, width, 3] in order, once; the last batch may be smaller."""
        return self.pixels.batches(self.rows, batch_size=batch_size)


def load(
    source: str | Path | Table,
    rule: PixelRule | tuple[int, int],
    split: Sequence[float] | KFold | None = (0.70, 0.15, 0.15),
    seed: int = 0,
    skip_bad: bool = False,
    memory_bytes: int = 2**30,
    known: KnownPixels | None = None,
) -> ImageSet:
    """Open a source, read every image once, and split what is usable.

    Args:
        source: Any form that `open_source` takes, or a table from it, for example one with another grouping.
        rule: How images become pixels; or height and width in pixels. A range that is open is measured on the training
            images.
        split: The parts of train, val and test for splits that tlmed makes, which add up to 1; or one fold of a
            cross-validation. None makes every image a test image, whatever split it is given in: an external set.
        seed: Decides the splits.
        skip_bad: Leave broken images out and list them, instead of refusing the data.
        memory_bytes: Resized pixels are kept in memory if they take no more than this, otherwise in a nameless file in
            the cache directory. If there is no room for it, every epoch decodes them again. Batches are the same.
        known: What is known of files that were decoded before; with it, pixels have digests.

    Returns:
        The images.

    Raises:
        InputError: The data cannot be used; all faults of a kind at once.
    """
    table = source if isinstance(source, Table) else open_source(source)
    if split is not None and (faults := find_scheme_faults(table, split)):
        raise InputError(faults)  # before every image is read
    digests, broken, pixels = read_all(table, rule, memory_bytes, known)
    check_broken(table, broken, skip_bad)
    usable = [row for row in range(len(table)) if row not in broken]
    faulty, owners = _name_broken(table, broken)
    table = table.take(usable)
    digests = tuple(digests[row] for row in usable)
    if split is None:
        table = dataclasses.replace(table, splits=("test",) * len(table))
    test = np.full(len(table), "test")
    images = ImageSet(table, test, digests, pixels.image_size, faulty, (), (), (), pixels, broken_groups=owners)
    if split is None:
        return put_into(images, test, (), whole=True)
    try:
        return divide(images, split, seed)
    except Unmeasured as error:
        if not skip_bad:
            raise
        more, others = _name_broken(table, error.rows)
    # Those that are left need no range, so that this happens once.
    table = table.take([row for row in range(len(table)) if table.paths[row] not in dict(more)])
    digests, _, pixels = read_all(table, rule, memory_bytes, known)
    test, digests, groups = test[: len(table)], tuple(digests), (*owners, *others)
    left_out = (*faulty, *more)
    images = ImageSet(table, test, digests, pixels.image_size, left_out, (), (), (), pixels, broken_groups=groups)
    return divide(images, split, seed)


def _name_broken(table, reasons) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return path and reason of rows that cannot be used, and their groups, "" for none."""
    groups = table.groups or [""] * len(table)
    return tuple((table.paths[row], reason) for row, reason in reasons.items()), tuple(groups[row] for row in reasons)


def divide(images: ImageSet, split: Sequence[float] | KFold, seed: int) -> ImageSet:
    """Return the same images in other splits, without reading them again; given splits stay as they are.

    Args:
        images: The images.
        split: As for `load`, and not None.
        seed: The run's seed.

    Raises:
        InputError: They cannot be divided so.
    """
    return put_into(images, *assign_splits(images.table, images.sha256, split, seed), isinstance(split, KFold))


def regroup(images: ImageSet, groups: tuple[str, ...] | None) -> ImageSet:
    """Return the same images in these groups, with the warnings and leaks that belong to them.

    Args:
        images: The images of an external set, which was loaded without a split.
        groups: The group of every image, or None.
    """
    if groups == images.table.groups:
        return images
    table = dataclasses.replace(images.table, groups=groups)
    return put_into(dataclasses.replace(images, table=table), images.splits, images.split_made, whole=True)


def recognise(images: ImageSet, elsewhere: Mapping[str, Learned], certain: bool = True) -> ImageSet:
    """Return the same images, with leaks from the runs that the weights come from.

    Args:
        images: The images, in their splits.
        elsewhere: What each of these runs learned from, by its directory.
        certain: As for `find_leaks`.
    """
    leaks = find_leaks(images.table, images.sha256, images.splits, elsewhere, certain)
    return dataclasses.replace(images, elsewhere=elsewhere, certain=certain, leaks=leaks)


def put_into(images, splits, made, fold=False, whole=False) -> ImageSet:
    """Return images with these splits, and with the warnings and leaks that belong to them.

    Whole is an external set: all of its images are scored, and there are no splits to speak of.
    """
    table, digests = images.table, images.sha256
    pixels = settle(table, images.pixels, np.flatnonzero(splits == "train"))
    return dataclasses.replace(
        images,
        pixels=pixels,
        splits=splits,
        warnings=(
            *describe_files(table, images.broken),
            *describe_tones(table.paths, pixels.tones, classify(table, digests)),
            *describe_unwindowed(table.paths, pixels.tones, pixels.formats, pixels.rule.intensity),
            *describe_extras(table.paths, pixels.extras),
            *describe_two_values(table, pixels.extras),
            *describe(table, digests, splits, None if whole else made, fold),
        ),
        leaks=find_leaks(table, digests, splits),
        split_made=made,
        apart=0,
    )


def read_files(
    paths: Sequence[str | Path],
    rule: PixelRule | tuple[int, int],
    skip_bad: bool = False,
    slicing: Slicing | Tiling = WHOLE,
    memory_bytes: int = 2**30,
) -> tuple[list[str], FileImages, list[tuple[str, str]]]:
    """Read images without labels: files, and folders with everything below them.

    Args:
        paths: Files and folders. In folders, files that are not images are passed over, and masks of
            other images are left out.
        rule: How images become pixels, without an open range; or height and width in pixels.
        skip_bad: Leave broken images out and list them, instead of refusing all.
        slicing: How files with several planes become samples, as a run settled it.
        memory_bytes: As for `load`.

    Returns:
        The paths of the usable samples (as given, joined with what lies below a folder), sorted within each
        folder and each once; their batches; path and reason of what was left out.

    Raises:
        InputError: A path does not exist or is no image, there are no images, or some are broken.
    """
    with naming_unreadable("paths"):
        names, masks = find_files(paths)
    check_names("paths", names)
    files = Table("paths", names, np.zeros(len(names), np.int64), (), None, None, _read_path(names), root=Path())
    table = take_samples(files, slicing, is_settled=True)
    _, broken, pixels = read_all(table, rule, memory_bytes)
    check_broken(table, broken, skip_bad)
    usable = table.take([row for row in range(len(table)) if row not in broken])
    faulty = [*masks, *((table.paths[row], reason) for row, reason in broken.items())]
    return list(usable.paths), FileImages(pixels, np.arange(len(usable)), table.notes), faulty


def _read_path(names: Sequence[str]):
    return lambda row: read_regular(names[row])


def find_files(paths: Sequence[str | Path]) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Return the image files that paths name, each once, and the other files of their folders, with the reason.

    Raises:
        InputError: A path names none.
    """
    found: dict[str, None] = {}
    masks: dict[str, str] = {}
    passed_over, faults = [], []
    for path in map(Path, paths):
        try:
            check_exists(path, "path", "an image file or a folder")
        except InputError as error:
            faults += error.faults
            continue
        files = [file for file in visible_files(path) if is_image(file)] if path.is_dir() else [path]
        names = [file.as_posix() for file in files]
        if path.is_dir():
            passed_over += _describe_rest(path)
        masks |= {name: f"it is a mask of {base}" for name, base in find_masks(Path(), names).of.items()}
        found |= dict.fromkeys(name for name in names if name not in masks)
        if not files:
            faults.append(f"A folder must hold images ({describe_endings()}). Received: path={path}, where none is.")
        elif not is_image(files[0]):
            kind, is_table = find_kind(path), find_form(path) == TABLE
            advice = f"; {kind.advice}" if kind else "; give the files that a table names" if is_table else ""
            faults.append(f"A path must be an image ({describe_endings()}) or a folder{advice}. Received: path={path}.")
    if faults:
        raise InputError(faults)
    return tuple(found), [*passed_over, *((name, why) for name, why in masks.items() if name not in found)]


def _describe_rest(folder: Path) -> list[tuple[str, str]]:
    """Return how many files, and links to folders, below a folder are not read, and why."""
    unfollowed = [(str(folder), sentence.rstrip(".")) for sentence in describe_unfollowed(find_unfollowed(folder))]
    rest = [file for file in visible_files(folder) if not is_image(file)]
    others, hidden = [file.relative_to(folder).as_posix() for file in rest], list(find_hidden(folder))
    if not others and not hidden:
        return unfollowed
    kinds = "".join(f"; {sentence.rstrip('.')}" for sentence in describe_others(rest))
    named = f"{count(len(others) + len(hidden), 'file')} of {folder}"
    return [(named, f"{describe_skipped(others, hidden)}{kinds}"), *unfollowed]
