"""Near-copies: images that show the same picture, re-compressed, cropped, turned, marked or changed in brightness."""

from collections.abc import Mapping, Sequence

import numpy as np

from tlmed.gate.bare_pictures import open_pictures
from tlmed.gate.candidates import find_candidates
from tlmed.gate.checked import Checked
from tlmed.gate.confirmation import confirm, screen
from tlmed.gate.copy_findings import describe_pair, make_findings
from tlmed.gate.copy_sets import Pair, Sets
from tlmed.gate.evidence import Evidence
from tlmed.gate.sketches import SKETCH
from tlmed.words import count

_FEWEST, _MOST, _STEP = 2, 6, 100  # candidates per image, upright and turned each: one more for so many images
_FLAT = 3.0  # gray levels: an image with less contrast shows nothing


def check_near_copies(evidence: Evidence) -> Checked:
    """Find images that are copies of one another, though not to the byte or the pixel.

    Args:
        evidence: Of all images.

    Returns:
        A finding for each set of copies: an error where it lies in several splits or has several labels.
    """
    twins = _group_identical(evidence)
    rows = np.array(sorted(twins), int)
    flat = evidence.sketches[rows].std(axis=(1, 2), dtype=np.float32) < _FLAT
    sets = Sets(len(evidence), evidence.table.groups)
    pairs, examined = _find_pairs(evidence.sketches, rows[~flat], sets)
    joined = [sorted(twin for row in members for twin in twins[row]) for members in sets.list_sets()]
    described = [describe_pair(evidence, pair) for pair in pairs]
    figures = {
        "sets": len(joined),
        "images": sum(map(len, joined)),
        "candidates": examined,
        "pairs": [pair.as_json() for pair in described],
    }
    return Checked("near-copies", make_findings(evidence, joined, described), figures, _say_flat(int(flat.sum())))


def _group_identical(evidence: Evidence) -> Mapping[int, list[int]]:
    """Return the rows of each picture, by the first of them: identical ones are found by another check."""
    sets, seen = Sets(len(evidence)), {}
    for keys in (evidence.sha256, evidence.digests or ()):
        for row, key in enumerate(keys):
            sets.join(seen.setdefault(key, row), row)
    twins: dict[int, list[int]] = {}
    for row in range(len(evidence)):
        twins.setdefault(sets.find(row), []).append(row)
    return {rows[0]: rows for rows in twins.values()}


def _find_pairs(sketches, rows, sets) -> tuple[list[Pair], int]:
    """Join copies among `rows` in `sets`; return the pairs that tell so, and how many candidates were looked at."""
    pairs, rows = _join_equal(sketches, rows, sets)
    if len(rows) < 2:
        return pairs, 0
    pictures = open_pictures(sketches, rows)
    found = find_candidates(pictures, min(_FEWEST + len(rows) // _STEP, _MOST))
    return pairs + confirm(pictures, *screen(pictures, found), sets), len(found)


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
    return (f"{is_many} nearly uniform: whether that is a copy of another cannot be told.",)
