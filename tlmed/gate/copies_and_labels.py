"""Identical images, by bytes and by pixels, and patients in several splits: copies that leak, and that contradict."""

from collections.abc import Iterable, Sequence

import numpy as np

from tlmed.data.leaks import contradict, find_leaked, find_leaks, list_paths, name_files, say_two_labels
from tlmed.data.units import find_repeated, list_present
from tlmed.findings import ERROR, GROUP, IDENTICAL, TWO_LABELS, WARNING, Finding
from tlmed.gate.checked import Checked
from tlmed.gate.evidence import Evidence
from tlmed.gate.table_forms import find_lacking
from tlmed.part_names import split_part
from tlmed.words import count, join_names

NAMED = 4  # files that a sentence names; it counts the others
_SPREAD = "Put them into one split, or leave all but one of them out."
_JOINED = "`--write FIXED.csv` joins them into one group, which keeps them in one split."
_LABELS = "Find out which label is right"
_LEFT_OUT = "`--write FIXED.csv` leaves all of them out."
_WITHIN = "Leave all but one of them out if they are not meant to be there several times."
_PATIENT = "Put all images of a patient into one split, or remove the column of splits and let tlmed divide the images."


def check_copies(evidence: Evidence) -> Checked:
    """Find images that are equal byte for byte or pixel for pixel, and groups in several splits.

    That is all that `find_leaks` finds of the images themselves, in the same sentences, each once; identical files that
    share a split; and files of other bytes whose pixels are equal at the size of the network, such as a PNG and a TIFF
    of one image. Images that are equal in both ways are one finding. Time and memory are linear in the images.

    Args:
        evidence: Of the images; without digests of pixels only bytes are compared, which is said.

    Returns:
        Errors for copies in several splits or of several labels and for groups in several splits; warnings for other
        copies. Figures: sets of copies by bytes and by pixels, images in them, sets in several splits and of several
        labels, groups in several splits, and the test images that train or val has, too.
    """
    table, splits = evidence.table, evidence.splits
    by_pixels = _find_pixel_sets(evidence)
    whole = {row for rows in by_pixels for row in rows}
    # A set of equal bytes lies wholly in a set of equal pixels or in none: it is not told a second time.
    by_bytes = [rows for rows in find_repeated(evidence.sha256) if rows[0] not in whole]
    labels = table.texts
    same = "Byte-identical files" if table.unit == "byte" else "Images of equal pixels"
    told = [(same, rows) for rows in by_bytes] + [(_say_equal(evidence, rows), rows) for rows in by_pixels]
    writes = not find_lacking(table)
    findings = [finding for begun, rows in told for finding in _tell(evidence, rows, begun, labels, writes)]
    groups = [leak for leak in find_leaks(table, evidence.sha256, splits) if leak.kind == GROUP]
    findings += [Finding(GROUP, leak.text, leak.files, leak.level, _PATIENT) for leak in groups]
    sets = [*by_bytes, *by_pixels]
    figures = {
        "byte_identical_sets": len(by_bytes),
        "pixel_identical_sets": len(by_pixels),
        "images_in_sets": sum(map(len, sets)),
        "sets_in_several_splits": sum(len(list_present(splits[rows])) > 1 for rows in sets),
        "sets_under_several_labels": sum(contradict(table, rows) for rows in sets),
        "groups_in_several_splits": len(groups),
        "test_images_also_in_train_or_val": int(find_leaked(_merge(evidence), table.own_groups, splits).sum()),
    }
    return Checked("copies", tuple(_sort(findings)), figures, _list_unchecked(evidence))


def _find_pixel_sets(evidence: Evidence) -> list[list[int]]:
    """Return the rows of equal pixels that are not all of equal bytes, but not of those nearly of one gray level.

    Many planes of volumes are black, or are by their window: that they are equal is no leak.
    """
    sets, flat = find_repeated(evidence.digests or ()), evidence.flat
    return [rows for rows in sets if len({evidence.sha256[row] for row in rows}) > 1 and not flat[rows[0]]]


def _merge(evidence: Evidence) -> Sequence[str]:
    """Return for every image what it shares with its copies by bytes or by pixels."""
    if evidence.digests is None:
        return evidence.sha256
    rows = zip(evidence.sha256, evidence.digests, evidence.flat.tolist(), strict=True)
    return [content if is_flat else pixels.hex() for content, pixels, is_flat in rows]


def _say_equal(evidence: Evidence, rows: Sequence[int]) -> str:
    """Return how a sentence on images of equal pixels begins, for files with how many and of which formats."""
    same, table = "Images of equal pixels, at the size of the network,", evidence.table
    if table.root is None or any(split_part(table.paths[row])[1] for row in rows):
        return same
    formats = sorted({evidence.files[row].format for row in rows} - {""})
    told = f" ({join_names(formats)})" if len(formats) > 1 else ""
    return f"{same} in {count(len({evidence.sha256[row] for row in rows}), 'different file')}{told},"


def _tell(evidence: Evidence, rows: Sequence[int], same: str, labels: Sequence[str], writes: bool) -> Iterable[Finding]:
    """Yield what is wrong with a set of copies: their labels, their splits, or only that they are there.

    `writes` tells whether `--write` can make a table of the images.
    """
    files, where = list_paths(evidence.table, rows), list_present(evidence.splits[rows])
    conflict = contradict(evidence.table, rows)
    if conflict:
        text = say_two_labels(same, files, {labels[row] for row in rows})
        yield Finding(TWO_LABELS, text, files, ERROR, f"{_LABELS}; {_LEFT_OUT}" if writes else f"{_LABELS}.")
    if len(where) > 1:
        # Splits that are given stay as they are; a `val` that tlmed split off a given `train` does not.
        ours = evidence.split_made and {*where} <= {"train", *evidence.split_made}
        cure = f"{_SPREAD} {_JOINED}" if ours and writes else _SPREAD
        yield Finding(IDENTICAL, f"{same} are in {' and '.join(where)}: {name_files(files)}.", files, ERROR, cure)
    elif not conflict:
        divided = len(np.unique(evidence.splits)) > 1
        place = f" are in {where[0]} alone" if divided and where and len(where) == len({*evidence.splits[rows]}) else ""
        text = f"{same}{place}, {len(rows):,} of them: {name_files(files, NAMED)}."
        yield Finding(IDENTICAL, text, files, WARNING, _WITHIN)


def _sort(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings, the worst first: errors before warnings, labels before splits, larger sets before smaller."""
    kinds = {TWO_LABELS: 0, IDENTICAL: 1, GROUP: 2}
    return sorted(findings, key=lambda found: (found.level != ERROR, kinds[found.kind], -len(found.files)))


def _list_unchecked(evidence: Evidence) -> tuple[str, ...]:
    said = []
    if evidence.digests is None:
        said.append("Pixels were not compared: the digests of the images' pixels are not known, only those of files.")
    if evidence.table.groups is None and not evidence.table.alone and len(np.unique(evidence.splits)) > 1:
        said.append("Whether a patient is in several splits cannot be told: no groups are named.")
    return tuple(said)
