"""Read images: all of them once, for their digests and faults; then by row, as batches of uint8 pixels."""

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tlmed.cache import IN_MEMORY, Room, make_room
from tlmed.data.decode_and_resize import TONES, decode, decode_measured, decode_resized
from tlmed.data.extras import find_extras
from tlmed.data.file_samples import cut_between_files, number_owners
from tlmed.data.known_files import KnownPixels, recall
from tlmed.data.masks import TWO_VALUES, has_two_values
from tlmed.data.parts import Content, Part, digest_content, digest_pixels
from tlmed.data.readers import name_format
from tlmed.data.table import Table
from tlmed.errors import CHANGED, InputError, RunFailed
from tlmed.part_names import split_part
from tlmed.words import count, listed

CHUNK = 8  # images that a thread reads at a time
PARALLEL = min(os.cpu_count() or 1, 16)
AHEAD = 2  # batches that wait for their turn
_ALIKE = 20  # broken images that a message names with the same reason; it counts the others
READ_ERRORS = (OSError, ValueError)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Give the resized images of a source as uint8, by row: as they were kept, or decoded from the source.

    Args:
        read: Row number to content, as `Table.read`.
        image_size: Height and width in pixels.
        kept: uint8 [n, height, width, 3], or None to decode each time.
        ready: bool [n], which rows of `kept` are filled; the others are decoded when they are first asked for.
        digests: The SHA-256 of each row's pixels, or None if they were not asked for.
        tones: `TONES` [n], the values of each row's image; None if they were not measured.
        extras: What each row's file holds that is not used as it is stored (`find_extras`); None if unknown.
        formats: The family of files that each row was read as (`name_format`); None if unknown.
        room: Where `kept` is, or why there is none.
        owners: int64 [n], a number for the file of each row, where files have several samples; None where none has.
    """

    read: Callable[[int], Content]
    image_size: tuple[int, int]
    kept: np.ndarray | None = None
    ready: np.ndarray | None = None
    digests: tuple[bytes, ...] | None = None
    tones: np.ndarray | None = None
    extras: tuple[frozenset[str], ...] | None = None
    formats: tuple[str, ...] | None = None
    room: Room = IN_MEMORY
    owners: np.ndarray | None = None
    _filling: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return uint8 [len(rows), height, width, 3] in the order of `rows`.

        Raises:
            RunFailed: If an image is no longer the one that was read first, or cannot be read any more.
        """
        if self.kept is None:
            return np.array(self._decode(rows.tolist())).reshape(-1, *self.image_size, 3)
        if self.owners is None:
            self._fill(rows)
        elif not self.ready[rows].all():
            # All samples of a file at once: it would be decoded again for each of them. A second batch waits for them.
            with self._filling:
                self._fill(np.flatnonzero(np.isin(self.owners, self.owners[rows])))
        return self.kept.take(rows, axis=0)

    def _fill(self, rows: np.ndarray) -> None:
        missing = rows[~self.ready[rows]].tolist()
        for row, image in zip(missing, self._decode(missing), strict=True):
            self.kept[row], self.ready[row] = image, True

    def _decode(self, rows: list[int]) -> list[np.ndarray]:
        if self.owners is not None:
            return self._decode_parts(rows)
        # Few images: starting threads would cost more than it saves.
        if len(rows) <= CHUNK:
            return [self._decode_one(row) for row in rows]
        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(self._decode_one, rows))

    def _decode_parts(self, rows: list[int]) -> list[np.ndarray]:
        """Decode samples file by file, each in one thread."""
        together = defaultdict(list)
        for row in rows:
            together[self.owners[row]].append(row)
        with ThreadPoolExecutor(PARALLEL) as pool:
            found = pool.map(self._decode_together, together.values())
            images = dict(pair for pairs in found for pair in pairs)
        return [images[row] for row in rows]

    def _decode_together(self, rows: list[int]) -> list[tuple[int, np.ndarray]]:
        held = self.read(rows[0]) if len(rows) > 1 else None
        return _do_for_each(rows, lambda row: (row, self._decode_one(row)), held)

    def _decode_one(self, row: int) -> np.ndarray:
        try:
            image = decode_resized(self.read(row), self.image_size)
        except READ_ERRORS as error:
            raise RunFailed(f"{CHANGED} Received: row {row + 1} of splits.csv ({_reason(error)}).") from error
        if self.digests is not None and hashlib.sha256(image).digest() != self.digests[row]:
            raise RunFailed(f"{CHANGED} Received: row {row + 1} of splits.csv.")
        return image

    def batches(self, rows: tf.data.Dataset, labels: np.ndarray | None = None) -> tf.data.Dataset:
        """Map batches of row numbers to images, in parallel and in order.

        Args:
            rows: int64 [b] each.
            labels: int64, the label of every row, or None.

        Returns:
            uint8 [b, height, width, 3], with int64 [b] where there are labels.
        """
        return map_rows(rows, self.take, tf.TensorSpec([None, *self.image_size, 3], tf.uint8), labels)


def map_rows(
    rows: tf.data.Dataset,
    take: Callable[[np.ndarray], np.ndarray],
    spec: tf.TensorSpec,
    labels: np.ndarray | None = None,
    finish: Callable[[tf.Tensor], object] = lambda taken: taken,
) -> tf.data.Dataset:
    """Map batches of row numbers to what a function gives for them, in parallel and in order.

    Args:
        rows: int64 [b] each.
        take: Row numbers to an array [b, ...].
        spec: Shape and type of that array.
        labels: int64, the label of every row, or None.
        finish: What is made of the array, in TensorFlow.

    Returns:
        What `finish` gives, with int64 [b] where there are labels.
    """

    def look_up(batch: tf.Tensor):
        # Without `stateful=False` op determinism would let only one call run at a time.
        taken = tf.numpy_function(take, [batch], spec.dtype, stateful=False)
        made = finish(tf.ensure_shape(taken, spec.shape))
        return made if labels is None else (made, tf.gather(labels, batch))

    # Without this, TensorFlow tunes these numbers, too late for a small data set, in a thread that sleeps longer and
    # longer, up to a minute. TensorFlow 2.21 does not wake that thread at the end of the data, but waits for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return rows.map(look_up, PARALLEL, deterministic=True).prefetch(AHEAD).with_options(options)


class _Row(NamedTuple):
    """What is read of a row: digests of content and pixels, tones, extras, format; the reason if it cannot be read."""

    content: str
    pixels: bytes
    tones: np.ndarray
    extras: frozenset[str]
    format: str
    reason: str


def read_all(
    table: Table, image_size: tuple[int, int], memory_bytes: int, known: KnownPixels | None = None
) -> tuple[list[str], dict[int, str], Pixels]:
    """Read every image once, in parallel.

    Args:
        table: The images.
        image_size: Height and width in pixels.
        memory_bytes: The most that kept pixels may take in memory; see `make_room`.
        known: Facts about files that were decoded before: these are sound, and they are decoded only when their pixels
            are needed. New facts are added. None: every image is decoded now, and pixels have no digests.

    Returns:
        The digest of every row's content, of its pixels where they were encoded here; the reason of every broken row;
        and the pixels of all the other rows, in order.
    """
    kept, room = make_room((len(table), *image_size, 3), memory_bytes)
    ready = np.zeros(len(table), bool)
    rows = _read_rows(table, image_size, kept, ready, known)
    contents, pixels, tones, extras, formats, reasons = zip(*rows, strict=True)
    broken = {row: reason for row, reason in enumerate(reasons) if reason}
    usable = [row for row in range(len(table)) if row not in broken]
    if known is not None:
        known.save()
    if kept is not None and broken:
        kept, ready = _close_gaps(kept, usable), ready[usable]
    digests = tuple(pixels[row] for row in usable) if known is not None else None
    tones, extras, formats = (
        np.stack(tones)[usable],
        *(tuple(kind[row] for row in usable) for kind in (extras, formats)),
    )
    owners = number_owners([table.paths[row] for row in usable])
    facts = (digests, tones, extras, formats, room, owners)
    source = Pixels(table.take(usable).read, tuple(image_size), kept, ready, *facts)
    return list(contents), broken, source


def _read_rows(table, image_size, kept, ready, known) -> Iterator[_Row]:
    """Yield what is read of every row, in order."""

    def read_one(row: int) -> _Row:
        try:
            content = table.read(row)
            digest = digest_content(content)
            pixels = known.get(digest) if known is not None else None
            # Facts of older versions have no tones.
            held = known.get(digest, "tones") if pixels is not None else None
            if held is None:
                image, tones = decode_measured(content, image_size)
                pixels = _keep(row, image)
                if known is not None:
                    known.add(digest, pixels)
                    known.add(digest, tones.tobytes(), "tones")
            else:
                tones = np.frombuffer(held, TONES)[0]
            if table.encoded_here:
                digest = _digest_decoded(content, digest, known)
            extras = find_extras(content)
            # `describe_tones` reports images of 0 and 1 only. Few other images have two values: they are decoded again.
            if tones["used"] == 2 and tones["brightest"] > 1 and _has_two_values(content, digest, known):
                extras |= {TWO_VALUES}
        except InputError:  # a reader is not installed: no fault of this image
            raise
        except READ_ERRORS as error:
            return _Row("", b"", np.zeros((), TONES), frozenset(), "", _reason(error))
        family = content.family() if isinstance(content, Part) else name_format(content)
        return _Row(digest, pixels, tones, extras, family, "")

    def _keep(row, image) -> bytes:
        if kept is not None:
            kept[row], ready[row] = image, True
        return hashlib.sha256(image).digest() if known is not None else b""

    def read_rows(rows: range) -> list[_Row]:
        return _do_together(table, rows, read_one)

    pool = ThreadPoolExecutor(PARALLEL)
    try:
        for chunk in pool.map(read_rows, cut_between_files(table.paths, CHUNK)):
            yield from chunk
    finally:
        # After Ctrl-C or an error the images still waiting are not read.
        pool.shutdown(cancel_futures=True)


def _do_for_each(rows: Sequence[int], work: Callable[[int], object], held: Content | None) -> list:
    """Do some work for each row; a sample that is held keeps its file open, which is then decoded once for all rows."""
    return [work(row) for row in rows]


def _do_together(table: Table, rows: range, work: Callable[[int], object]) -> list:
    """Do some work for each row of a cut of `cut_between_files`."""
    first, last = (split_part(table.paths[row])[0] for row in (rows[0], rows[-1]))
    return _do_for_each(rows, work, table.read(rows[0]) if len(rows) > 1 and first == last else None)


def _has_two_values(content, digest: str, known: KnownPixels | None) -> bool:
    return recall(known, digest, "two values", lambda: bytes([has_two_values(content)])) != b"\0"


def is_readable(table: Table, row: int) -> bool:
    """Tell whether the image of a row can be decoded."""
    try:
        decode(table.read(row))
    except READ_ERRORS:
        return False
    return True


def read_digests(table: Table) -> list[str]:
    """Return the digest of every row's content, as `read_all` does, decoding only where the digest needs it.

    Args:
        table: The images.

    Raises:
        OSError, ValueError: If one cannot be read.
    """

    def read_one(row: int) -> str:
        content = table.read(row)
        digest = digest_content(content)
        return _digest_decoded(content, digest, None) if table.encoded_here else digest

    with ThreadPoolExecutor(PARALLEL) as pool:
        found = pool.map(lambda rows: _do_together(table, rows, read_one), cut_between_files(table.paths, CHUNK))
        return [digest for digests in found for digest in digests]


def _digest_decoded(content: bytes, digest: str, known: KnownPixels | None) -> str:
    """Return the digest of an image's pixels, at their own size."""
    return recall(known, digest, "at its own size", lambda: digest_pixels(decode(content))).hex()


def _close_gaps(kept: np.ndarray, usable: list[int]) -> np.ndarray:
    """Move pixels up over the rows of broken images, in place: a copy would take the memory twice."""
    for place, row in enumerate(usable):
        if place != row:
            kept[place] = kept[row]
    return kept[: len(usable)]


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return " ".join(str(text or type(error).__name__).split())


def check_broken(table: Table, broken: dict[int, str], skip_bad: bool) -> None:
    """Name the images that cannot be read, unless they may be left out and other images remain.

    Args:
        table: The images.
        broken: Row and reason of every broken one.
        skip_bad: Whether broken ones are to be left out.

    Raises:
        InputError: One sentence that names them.
    """
    if broken and not (skip_bad and len(broken) < len(table)):
        alike = defaultdict(list)
        for row, reason in broken.items():
            alike[reason].append(f"'{table.paths[row]}'")
        named = listed(f"{listed(paths, _ALIKE)} ({reason})" for reason, paths in alike.items())
        raise InputError(
            f"Every image must be readable; repair or remove what is not, or leave it out with --skip-bad. "
            f"{count(len(broken), 'image')} of {len(table):,} cannot be read. Received: {named}."
        )
