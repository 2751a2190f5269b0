"""Read images: all of them once, for their digests and faults; then by row, as batches of uint8 pixels."""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tlmed.cache import IN_MEMORY, Room, make_room
from tlmed.data.decode_and_resize import TONES, PixelRule, as_rule, decode, decode_resized, examine
from tlmed.data.extras import find_extras
from tlmed.data.file_facts import FileFacts
from tlmed.data.file_samples import PARALLEL, cut_between_files, number_owners
from tlmed.data.known_files import KnownPixels, recall
from tlmed.data.known_pixels import Facts, find_facts, note_facts
from tlmed.data.masks import TWO_VALUES, has_two_values
from tlmed.data.measured_ranges import measure_range
from tlmed.data.parts import Content, Part, digest_content, digest_pixels
from tlmed.data.readers import holding, name_format, read_facts
from tlmed.data.table import Table
from tlmed.errors import CHANGED, InputError, RunFailed
from tlmed.intensity import Intensity
from tlmed.part_names import split_part
from tlmed.words import count, listed

if TYPE_CHECKING:
    import tensorflow as tf

CHUNK = 8  # images that a thread reads at a time
READ_ERRORS = (OSError, ValueError)


@dataclass(frozen=True, eq=False)
class Waiting:
    """Images that wait for a range to be measured, on the training images of a run.

    Attributes:
        asked: The rule, its range open.
        values: Row number to what `summarise` returned of its image.
        memory_bytes: The most that kept pixels may take in memory.
        known: Facts about files.
    """

    asked: PixelRule
    values: Mapping[int, np.ndarray]
    memory_bytes: int
    known: KnownPixels | None


@dataclass(frozen=True, eq=False)
class Pixels:
    """Give the resized images of a source as uint8, by row: as they were kept, or decoded from the source.

    Args:
        read: Row number to content, as `Table.read`.
        rule: How content becomes pixels; or height and width.
        kept: uint8 [n, height, width, 3], or None to decode each time.
        ready: bool [n], which rows of `kept` are filled; the others are decoded when they are first asked for.
        digests: The SHA-256 of each row's pixels, or None if they were not asked for.
        tones: `TONES` [n], the values of each row's image; None if they were not measured.
        extras: What each row's file holds that is not used as it is stored (`find_extras`); None if unknown.
        formats: The family of files that each row was read as (`name_format`); None if unknown.
        room: Where `kept` is, or why there is none.
        owners: int64 [n], a number for the file of each row, where files have several samples; None where none has.
        waiting: Where the range was asked to be measured: what that needs, now and in other splits; None elsewhere.
        paths: What a message calls each row that is decoded.
        files: What each row's file says besides its pixels; None if unknown.
    """

    read: Callable[[int], Content]
    rule: PixelRule | tuple[int, int]
    kept: np.ndarray | None = None
    ready: np.ndarray | None = None
    digests: tuple[bytes, ...] | None = None
    tones: np.ndarray | None = None
    extras: tuple[frozenset[str], ...] | None = None
    formats: tuple[str, ...] | None = None
    room: Room = IN_MEMORY
    owners: np.ndarray | None = None
    waiting: Waiting | None = None
    paths: tuple[str, ...] = ()
    files: tuple[FileFacts, ...] | None = None
    _filling: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return as_rule(self.rule).size

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
            image = decode_resized(self.read(row), self.rule)
        except READ_ERRORS as error:
            raise RunFailed(f"{CHANGED} Received: '{self.paths[row]}' ({_reason(error)}).") from error
        if self.digests is not None and hashlib.sha256(image).digest() != self.digests[row]:
            raise RunFailed(f"{CHANGED} Received: '{self.paths[row]}', which has other pixels now.")
        return image

    def batches(
        self,
        rows: "Sequence[int] | tf.data.Dataset",
        labels: np.ndarray | None = None,
        batch_size: int | None = None,
    ) -> "tf.data.Dataset":
        """Map row numbers to batches of images, in parallel and in order.

        Args:
            rows: Row numbers; or batches of them, int64 [b] each.
            labels: int64, the label of every row, or None.
            batch_size: Images per batch; None where `rows` are batches.

        Returns:
            uint8 [b, height, width, 3], with int64 [b] where there are labels.
        """
        from tlmed.data.row_batches import take_batches  # reading alone needs no TensorFlow, which takes seconds

        return take_batches(rows, batch_size, self.take, self.image_size, labels)


def read_all(
    table: Table, rule: PixelRule | tuple[int, int], memory_bytes: int, known: KnownPixels | None = None
) -> tuple[list[str], dict[int, str], Pixels]:
    """Read every image once, in parallel.

    Args:
        table: The images.
        rule: How they become pixels, or height and width. If its range is open, images that need it have no pixels
            until `settle` has measured it.
        memory_bytes: The most that kept pixels may take in memory; see `make_room`.
        known: Facts about files that were decoded before: these are sound, and they are decoded only when their pixels
            are needed. New facts are added. None: every image is decoded now, and pixels have no digests.

    Returns:
        The digest of every row's content, of its pixels where they were encoded here; the reason of every broken row;
        and the pixels of all the other rows, in order.
    """
    rule = as_rule(rule)
    kept, room = make_room((len(table), *rule.size, 3), memory_bytes)
    ready = np.zeros(len(table), bool)
    found = list(_read_rows(table, rule, (kept, ready, range(len(table))), known))
    broken = {row: each.reason for row, each in enumerate(found) if each.reason}
    usable = [row for row in range(len(table)) if row not in broken]
    if known is not None:
        known.save()
    if kept is not None and broken:
        kept, ready = _close_gaps(kept, usable), ready[usable]
    sound = [found[row] for row in usable]
    values = {row: each.facts.values for row, each in enumerate(sound) if each.facts.values is not None}
    source = Pixels(
        table.take(usable).read,
        rule,
        kept,
        ready,
        tuple(each.facts.pixels for each in sound) if known is not None else None,
        np.array([each.facts.tones for each in sound], TONES),
        tuple(each.extras for each in sound),
        tuple(each.format for each in sound),
        room,
        number_owners([table.paths[row] for row in usable]),
        Waiting(rule, values, memory_bytes, known) if rule.intensity.is_open else None,
        tuple(table.paths[row] for row in usable),
        tuple(each.file for each in sound),
    )
    return [each.content for each in found], broken, source


def settle(table: Table, pixels: Pixels, train: np.ndarray) -> Pixels:
    """Return pixels by the range that training images have, measured now; others that wait for none stay as they are.

    Args:
        table: The images of `pixels`.
        pixels: Where a range was asked to be measured; it may have been measured for other splits.
        train: Row numbers of the training images: no other image decides.

    Raises:
        Unmeasured: Images need a range, and no training image has values to measure it on; all are named.
    """
    if (waiting := pixels.waiting) is None:
        return pixels
    asked, rows = waiting.asked.intensity, np.array(sorted(waiting.values), np.int64)
    ends = measure_range([waiting.values[row] for row in train if row in waiting.values], asked.percentiles)
    rule = replace(waiting.asked, intensity=asked.measured(ends))
    if rule == pixels.rule or not len(rows):
        return replace(pixels, rule=rule)
    kept, ready, room = pixels.kept, pixels.ready, pixels.room
    if not pixels.rule.intensity.is_open:  # those of other splits may still be in use
        (kept, room), ready = make_room((len(table), *rule.size, 3), waiting.memory_bytes), ready.copy()
        ready[rows] = False
        if kept is None or pixels.kept is None:
            ready[:] = False
        else:
            kept[ready] = pixels.kept[ready]
    read = _read_rows(table.take(rows.tolist()), rule, (kept, ready, rows), waiting.known)
    found = dict(zip(rows.tolist(), read, strict=True))
    if broken := {row: each.reason for row, each in found.items() if each.reason}:
        raise Unmeasured(table, broken)
    if waiting.known is not None:
        waiting.known.save()
    tones, digests, extras = pixels.tones.copy(), list(pixels.digests or ()), list(pixels.extras)
    for row, each in found.items():
        tones[row], extras[row] = each.facts.tones, each.extras
        if digests:
            digests[row] = each.facts.pixels
    changed = {"kept": kept, "ready": ready, "room": room, "tones": tones, "extras": tuple(extras)}
    return replace(pixels, rule=rule, digests=tuple(digests) if digests else None, **changed)


class Unmeasured(InputError):
    """Images need a range, and no training image has values to measure it on; `rows` holds the reason of each."""

    def __init__(self, table: Table, rows: dict[int, str]):
        self.rows = rows
        named = listed(f"'{table.paths[row]}' ({reason})" for row, reason in rows.items())
        super().__init__(
            "Every image must be readable: say by `data.window` what is black and white; or repair, remove, or leave "
            "out with --skip-bad what is not (in a cross-validation, remove it). No training image has values to "
            f"measure a range on for {count(len(rows), 'image')}. Received: {named}."
        )


@dataclass(frozen=True, eq=False)
class _Found:
    """What was found of a row: digest of its content, facts, extras, format, a reason, empty if sound, and its file."""

    content: str
    facts: Facts
    extras: frozenset[str] = frozenset()
    format: str = ""
    reason: str = ""
    file: FileFacts = field(default_factory=FileFacts)


def _read_rows(table, rule, where, known) -> Iterator[_Found]:
    """Yield what is found of every row, in order; pixels go into an array, `where` says at which of its places."""
    kept, ready, places = where

    def read_one(row: int) -> _Found:
        try:
            content = table.read(row)
            with holding(content):
                return look_at(row, content)
        except InputError:  # a reader is not installed: no fault of this image
            raise
        except READ_ERRORS as error:
            return _Found("", Facts(b"", np.zeros((), TONES)), reason=_reason(error))

    def look_at(row: int, content: Content) -> _Found:
        digest = digest_content(content)
        facts = find_facts(known, digest, rule.intensity)
        if facts is None:
            found = examine(content, rule)
            facts = Facts(_keep(row, found.pixels), found.tones, found.values, found.is_cut)
            note_facts(known, digest, rule.intensity, facts, found.is_ranged)
        if table.encoded_here:
            digest = _digest_decoded(content, digest, known)
        extras = find_extras(content, facts.is_cut)
        # `describe_tones` reports images of 0 and 1 only. Few other images have two values: they are decoded again.
        is_odd = facts.tones["used"] == 2 and facts.tones["brightest"] > 1
        if is_odd and _has_two_values(content, digest, known, rule.intensity):
            extras |= {TWO_VALUES}
        is_part = isinstance(content, Part)
        family = content.family() if is_part else name_format(content)
        file = content.facts() if is_part else read_facts(content)
        if table.encoded_here:
            file = replace(file, bytes=0, format="", tags={})  # they are of this machine's encoder
        return _Found(digest, facts, extras, family, "", file)

    def _keep(row, image) -> bytes:
        if image is None:
            return b""
        if kept is not None:
            kept[places[row]], ready[places[row]] = image, True
        if known is None:
            return b""
        digest = hashlib.sha256(image).digest()
        known.watch(digest, image)
        return digest

    def read_rows(rows: range) -> list[_Found]:
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


def _has_two_values(content, digest: str, known: KnownPixels | None, intensity: Intensity) -> bool:
    name = f"two values {intensity.key}".strip()
    return recall(known, digest, name, lambda: bytes([has_two_values(content, intensity)])) != b"\0"


def is_readable(table: Table, row: int, intensity: Intensity) -> bool:
    """Tell whether the image of a row can be decoded by what is black and what is white."""
    try:
        decode(table.read(row), intensity)
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
