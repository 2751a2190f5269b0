"""Read images: once, to know each by its digest and its faults; and by row, as batches of uint8 pixels."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tlmed.data.images import decode, decode_resized
from tlmed.data.table import Table, count, listed
from tlmed.errors import InputError

CHUNK = 8  # images that one call into Python reads in the first pass
# AUTOTUNE begins with one call at a time, and a small data set is over before it finds a better number.
PARALLEL = min(os.cpu_count() or 1, 16)
READ_ERRORS = (OSError, ValueError)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Give the resized images of a source as uint8, by row: from memory, or decoded from the source again.

    Args:
        read: Row number to encoded content or decoded array.
        image_size: Height and width in pixels.
        kept: uint8 [n, height, width, 3] with every row, or None to decode each time.
    """

    read: Callable[[int], bytes | np.ndarray]
    image_size: tuple[int, int]
    kept: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return uint8 [len(rows), height, width, 3] in the order of `rows`."""
        if self.kept is not None:
            return self.kept.take(rows, axis=0)
        images = np.empty((len(rows), *self.image_size, 3), np.uint8)
        for place, row in enumerate(rows.tolist()):
            images[place] = decode_resized(self.read(row), self.image_size)
        return images

    def batches(self, rows: tf.data.Dataset, labels: np.ndarray | None = None) -> tf.data.Dataset:
        """Map batches of row numbers to images, in parallel and in order.

        Args:
            rows: int64 [b] each.
            labels: int64, the label of every row, or None.

        Returns:
            uint8 [b, height, width, 3], with int64 [b] where there are labels.
        """

        def look_up(batch: tf.Tensor):
            # Without `stateful=False` op determinism would let only one call run at a time.
            images = tf.numpy_function(self.take, [batch], tf.uint8, stateful=False)
            images.set_shape([None, *self.image_size, 3])
            return images if labels is None else (images, tf.gather(labels, batch))

        return rows.map(look_up, PARALLEL, deterministic=True).prefetch(tf.data.AUTOTUNE)


def read_all(
    table: Table, image_size: tuple[int, int], memory_bytes: int
) -> tuple[list[str], dict[int, str], np.ndarray | None]:
    """Read every image once, in parallel.

    Args:
        table: The images.
        image_size: Height and width in pixels.
        memory_bytes: The most that kept pixels may take.

    Returns:
        The digest of every row; the reason of every broken row; and the pixels of all the other rows, in
        order, or None where they would take more than `memory_bytes`.
    """
    fits = len(table) * image_size[0] * image_size[1] * 3 <= memory_bytes
    kept = np.empty((len(table), *image_size, 3), np.uint8) if fits else None
    digests: list[str] = []
    broken: dict[int, str] = {}
    for chunk in _read_chunks(table, kept):
        for digest, reason in zip(*chunk, strict=True):
            if reason:
                broken[len(digests)] = reason.decode()
            digests.append(digest.decode())
    return digests, broken, None if kept is None else _close_gaps(kept, broken)


def _read_chunks(table: Table, kept: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield digests and reasons (empty for sound images) of a few rows at a time, in order; fill `kept`."""

    def read_one(row: int) -> tuple[bytes, bytes]:
        try:
            content = table.read(row)
            if kept is None:
                decode(content)
            else:
                kept[row] = decode_resized(content, kept.shape[1:3])
        except READ_ERRORS as error:
            return b"", _reason(error).encode(errors="replace")
        content = np.ascontiguousarray(content) if isinstance(content, np.ndarray) else content
        return hashlib.sha256(content).hexdigest().encode(), b""

    def read_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        digests, reasons = zip(*map(read_one, rows.tolist()), strict=True)
        return np.array(digests, object), np.array(reasons, object)

    rows = tf.data.Dataset.range(len(table)).batch(CHUNK)
    read = rows.map(
        lambda batch: tf.numpy_function(read_rows, [batch], (tf.string, tf.string), stateful=False),
        PARALLEL,
        deterministic=True,
    )
    return read.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()


def _close_gaps(kept: np.ndarray, broken: dict[int, str]) -> np.ndarray:
    """Move pixels up over the rows of broken images, in place: a copy would take the memory twice."""
    usable = [row for row in range(len(kept)) if row not in broken]
    for place, row in enumerate(usable):
        if place != row:
            kept[place] = kept[row]
    return kept[: len(usable)]


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return " ".join(str(text or type(error).__name__).split())


def check_broken(table: Table, broken: dict[int, str], skip_bad: bool) -> None:
    """Name the images that cannot be read, unless they are to be left out and others remain.

    Args:
        table: The images.
        broken: Row and reason of every broken one.
        skip_bad: Whether broken ones are to be left out.

    Raises:
        InputError: One sentence that names them.
    """
    if broken and not (skip_bad and len(broken) < len(table)):
        named = listed(f"'{table.paths[row]}' ({reason})" for row, reason in broken.items())
        raise InputError(
            f"Every image must be readable; repair or remove what is not, or leave it out with --skip-bad. "
            f"{count(len(broken), 'image')} of {len(table)} cannot be read. Received: {named}."
        )
