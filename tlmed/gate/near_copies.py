"""Near-copies: images that show the same picture, re-compressed, cropped, turned, marked or changed in brightness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.findings import Finding
from tlmed.gate.alike_pairs import find_alike, find_views
from tlmed.gate.bare_pictures import open_pictures
from tlmed.gate.candidates import describe_whole, find_candidates, measure_scale
from tlmed.gate.checked import Checked
from tlmed.gate.confirmation import confirm, screen
from tlmed.gate.copy_findings import describe_pair, make_findings
from tlmed.gate.copy_sets import DescribedPair, Pair, Sets
from tlmed.gate.evidence import Evidence
from tlmed.gate.frame_measures import FLAT
from tlmed.gate.kept_evidence import address_pairs
from tlmed.gate.sketches import SKETCH
from tlmed.words import count

NEAR_COPIES = "near-copies"  # the name of the check
_FEWEST, _MOST, _STEP = 2, 6, 100  # candidates per image, upright and turned each: one more for so many images


@dataclass(frozen=True)
class _Look:
    """What is looked at: one row of each picture that shows something.

    Attributes:
        twins: The rows of each picture, by the first of them.
        rows: The first rows.
        flat: How many images are nearly of one gray level, and not looked at.
        sets: Of all images, that copies are joined in.
    """

    twins: Mapping[int, list[int]]
    rows: np.ndarray
    flat: int
    sets: Sets


def check_near_copies(evidence: Evidence) -> Checked:
    """Find images that are copies of one another, though not to the byte or the pixel.

    Args:
        evidence: Of all images.

    Returns:
        A finding for each set of copies: an error where it lies in several splits or has several labels.
    """
    look = _begin(evidence)
    pairs, examined = _recall_pairs(evidence, look)
    described = [describe_pair(evidence, pair) for pair in pairs]
    findings, figures = _conclude(evidence, look, (), described)
    return Checked(NEAR_COPIES, findings, {**figures, "candidates": examined}, _say_flat(look.flat))


def check_alike(evidence: Evidence) -> Checked:
    """Find near-copies that were not found before, among images whose features are alike.

    Args:
        evidence: With features, and with the copies that were found before.

    Returns:
        A finding for each set of copies that grew, as `check_near_copies` returns it.
    """
    name = "near-copies-by-features"
    if evidence.features is None:
        said = f"Copies were not looked for among images of like features: {evidence.why_lacking}."
        return Checked(name, unchecked=(said,))
    look = _begin(evidence)
    for pair in evidence.copies:
        look.sets.join(*pair.rows)
    _, rows = _join_equal(evidence.sketches, look.rows, look.sets)
    if len(rows) < 2:
        return Checked(name)
    pairs, find = rows[find_alike(evidence.features[rows], _MOST)], look.sets.find
    pictures = open_pictures(evidence.sketches, rows)
    found = find_views(pictures, pairs[[find(one) != find(other) for one, other in pairs.tolist()]])
    new = [describe_pair(evidence, pair) for pair in confirm(pictures, *screen(pictures, found), look.sets)]
    findings, figures = _conclude(evidence, look, evidence.copies, new)
    return Checked(name, findings, {**figures, "candidates": len(found)})


def read_pairs(evidence: Evidence, checked: Checked) -> tuple[DescribedPair, ...]:
    """Return the pairs that `check_near_copies` found.

    Args:
        evidence: In which it looked.
        checked: What it returned.
    """
    rows = {path: row for row, path in enumerate(evidence.table.paths)}
    return tuple(DescribedPair.from_json(pair, rows) for pair in checked.figures["pairs"])


def _conclude(evidence, look, known, new) -> tuple[tuple[Finding, ...], dict[str, object]]:
    """Return findings on the sets that pairs of `new` belong to, and figures; a set has all that equals its images."""
    find = look.sets.find
    grown = {find(row) for pair in new for row in pair.rows}
    members = [rows for rows in look.sets.list_sets() if find(rows[0]) in grown]
    joined = [sorted(twin for row in rows for twin in look.twins.get(row, ())) for rows in members]
    pairs = [pair for pair in (*known, *new) if find(pair.rows[0]) in grown]
    figures = {"sets": len(joined), "images": sum(map(len, joined)), "pairs": [pair.as_json() for pair in new]}
    return make_findings(evidence, joined, pairs), figures


def _begin(evidence: Evidence) -> _Look:
    twins = _group_identical(evidence)
    rows = np.array(sorted(twins), int)
    # Fine noise is gone in a sketch: an image may be flat there alone.
    flat = evidence.flat[rows] | (evidence.sketches[rows].std(axis=(1, 2), dtype=np.float32) < FLAT)
    amount = sum(len(twins[row]) for row in rows[flat].tolist())
    return _Look(twins, rows[~flat], amount, Sets(len(evidence), evidence.table.groups))


def _group_identical(evidence: Evidence) -> Mapping[int, list[int]]:
    """Return the rows of each picture, by the first of them: identical ones are found by another check."""
    sets, seen, flat = Sets(len(evidence)), {}, evidence.flat.tolist()
    for row, key in enumerate(evidence.sha256):
        sets.join(seen.setdefault(key, row), row)
    for row, key in enumerate(evidence.digests or ()):
        if not flat[row]:
            sets.join(seen.setdefault(key, row), row)
    twins: dict[int, list[int]] = {}
    for row in range(len(evidence)):
        twins.setdefault(sets.find(row), []).append(row)
    return {rows[0]: rows for rows in twins.values()}


def _recall_pairs(evidence, look) -> tuple[list[Pair], int]:
    """Return what `_find_pairs` does, without comparing images where the same ones were compared before."""
    address = address_pairs(evidence.sketches, look.rows, evidence.table.groups)
    known = evidence.memory.recall_pairs(address)
    if known is None:
        with evidence.memory.alone(address):  # several cells of a study begin with the same images
            known = evidence.memory.recall_pairs(address)
            if known is None:
                found = _find_pairs(evidence.sketches, look.rows, look.sets)
                evidence.memory.keep_pairs(address, *found)
                return found
    for pair in known[0]:
        look.sets.join(pair.first, pair.second)
    return known


def _find_pairs(sketches, rows, sets) -> tuple[list[Pair], int]:
    """Join copies among `rows` in `sets`; return the pairs that tell so, and how many candidates were looked at."""
    pairs, rows = _join_equal(sketches, rows, sets)
    if len(rows) < 2:
        return pairs, 0
    each = min(_FEWEST + len(rows) // _STEP, _MOST)
    whole = pictures = open_pictures(sketches, rows)
    examined, scale = 0, None
    while True:
        candidates = find_candidates(pictures, each, scale)
        found = confirm(pictures, *screen(pictures, candidates), sets)
        examined, pairs = examined + len(candidates), pairs + found
        # All candidates of an image with many copies are copies of it: sets of those are compared by one of each.
        heads = [own[0] for own in sets.list_sets() if len(own) > each]
        if not found or len(heads) < 2:
            return pairs, examined
        scale = scale or measure_scale(describe_whole(whole))
        pictures = open_pictures(sketches, np.array(heads))


def _join_equal(sketches, rows, sets) -> tuple[list[Pair], np.ndarray]:
    """Join rows whose sketches are equal, and return the first of each: thousands of them are one candidate."""
    pairs, seen = [], {}
    for row in rows.tolist():
        first = seen.setdefault(sketches[row].tobytes(), row)
        if first != row:
            sets.join(first, row)
            pairs.append(Pair(first, row, 1.0, np.eye(2, 3), np.tile([0, 0, SKETCH, SKETCH], (2, 1))))
    return pairs, np.array(sorted(seen.values()), int)


def _say_flat(amount: int) -> Sequence[str]:
    if not amount:
        return ()
    is_many = f"{count(amount, 'image')} {'is' if amount == 1 else 'are'}"
    return (
        f"{is_many} nearly of one gray level, at 64 x 64 pixels: whether that is a copy of another cannot be told.",
    )
