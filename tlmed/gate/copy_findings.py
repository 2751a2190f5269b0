"""Findings on sets of copies: what was changed, what it does to scores, and what to do."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from tlmed.data.units import list_present
from tlmed.findings import ERROR, NEAR_COPY, WARNING, Finding
from tlmed.gate.changes import are_numbered, describe_place, describe_tones, place_whole
from tlmed.gate.content import cut_out
from tlmed.gate.copy_sets import DescribedPair, Pair
from tlmed.gate.evidence import Evidence
from tlmed.gate.registration import warp
from tlmed.split_names import UNUSED
from tlmed.words import count, join_names, listed, percent

# The cure of the one finding that sums up sets, each of which lies in one group.
WITHIN_GROUPS = "Nothing leaks. If they are copies rather than frames, keep one of each."
_NAMED = 4  # files in one text; the others are counted


def describe_pair(evidence: Evidence, pair: Pair) -> DescribedPair:
    """Return a pair in words.

    Args:
        evidence: Of all images.
        pair: Two of them.
    """
    rows = (pair.first, pair.second)
    contents = cut_out(evidence.sketches[list(rows)], pair.boxes)
    seen, inside = warp(contents[:1], pair.matrix[None])
    changed = describe_place(place_whole(pair.matrix, *pair.boxes))
    changed += describe_tones(seen[0][inside[0]], contents[1][inside[0]])
    files = tuple(evidence.table.paths[row] for row in rows)
    return DescribedPair(rows, files, pair.correlation, tuple(changed))


def make_findings(
    evidence: Evidence, sets: Sequence[Sequence[int]], pairs: Sequence[DescribedPair]
) -> tuple[Finding, ...]:
    """Return a finding for each set of copies, and one for all sets inside groups; what matters most comes first.

    Args:
        evidence: Of all images.
        sets: The rows of each set.
        pairs: That joined them.
    """
    number = {row: index for index, rows in enumerate(sets) for row in rows}
    within: list[list[DescribedPair]] = [[] for _ in sets]
    for pair in pairs:
        within[number[pair.rows[0]]].append(pair)
    found, grouped = [], []
    for rows, own in zip(sets, within, strict=True):
        splits, labels = _list_splits(evidence, rows), _list_labels(evidence, rows)
        if len(splits) == len(labels) == 1 and _is_one_group(evidence, rows):
            grouped.append(rows)
            continue
        weight = (len(labels) > 1, len(splits) > 1, len(rows))
        found.append((weight, _describe_set(evidence, rows, own)))
    found.sort(key=lambda item: item[0], reverse=True)
    return (*(finding for _, finding in found), *_sum_up_groups(evidence, grouped))


def _describe_set(evidence, rows, pairs) -> Finding:
    paths, splits, labels = evidence.table.paths, _list_splits(evidence, rows), _list_labels(evidence, rows)
    files = [paths[row] for row in rows]
    weakest = min(pair.correlation for pair in pairs)
    where = f" They are in {join_names(splits)}." if len(splits) > 1 else ""
    what = f" Their labels differ: {join_names(labels)}." if len(labels) > 1 else ""
    names = listed((f"'{file}'" for file in files), _NAMED) if len(files) > 2 else f"'{files[0]}' and '{files[1]}'"
    # "At least" must hold of what is printed, so that it is rounded down.
    alike = f"{weakest:.2f}" if len(pairs) == 1 else f"at least {np.floor(100 * weakest) / 100:.2f}"
    text = f"{names} show almost the same picture{_say_changes(pairs)} (correlation {alike})."
    text += f"{where}{what}{_say_numbered(pairs)}"
    level = ERROR if len(splits) > 1 or len(labels) > 1 else WARNING
    return Finding(NEAR_COPY, text, tuple(files), level, _say_cure(splits, labels))


def _say_changes(pairs) -> str:
    changes = list(Counter(change for pair in pairs for change in pair.changed))
    if not changes:
        return ""
    if len(pairs) == 1:
        return f", one {join_names(changes)}"
    return f", some {listed(changes, 3)}"


def _say_numbered(pairs) -> str:
    names = [[PurePosixPath(file).name for file in pair.files] for pair in pairs]
    if not all(are_numbered(*pair) for pair in names):
        return ""
    return " Their names are numbered one after the other: they may be frames of one sequence."


def _say_cure(splits, labels) -> str:
    if len(labels) > 1:
        return "Look at them: correct the labels, or leave them out; then keep one of them, or give them one group."
    if len(splits) > 1:
        return "Keep one of them, or put them into one group, so that they share a split."
    return (
        "Keep one of them, or put them into one group: copies count as images of their own in training and in scores."
    )


def _list_splits(evidence, rows) -> list[str]:
    present = list_present(evidence.splits[list(rows)])
    return present or [UNUSED]


def _list_labels(evidence, rows) -> list[str]:
    """Return the labels that copies do not share, or the one label; answers that are unknown agree with any."""
    table = evidence.table
    if not table.is_multi:
        return [table.classes[label] for label in sorted({int(table.labels[row]) for row in rows})]
    answers = table.labels[list(rows)]
    torn = ((answers == 0).any(axis=0) & (answers == 1).any(axis=0)).nonzero()[0]
    if not len(torn):
        return [""]
    return [f"with {table.classes[column]}" for column in torn] + [
        f"without {table.classes[column]}" for column in torn
    ]


def _is_one_group(evidence, rows) -> bool:
    groups = evidence.table.groups
    return groups is not None and groups[rows[0]] != "" and len({groups[row] for row in rows}) == 1


def _sum_up_groups(evidence, sets) -> tuple[Finding, ...]:
    if not sets:
        return ()
    files = [evidence.table.paths[row] for rows in sets for row in rows]
    share = percent(len(files) / len(evidence))
    amount = f"{count(len(files), 'image')} ({share}) in {count(len(sets), 'set')}"
    names = listed((f"'{file}'" for file in files), _NAMED)
    text = (
        f"{amount} show almost the same picture as another image of their own group, in the same split and with the "
        f"same label, such as frames of one sequence: {names}."
    )
    return (Finding(NEAR_COPY, text, tuple(files), WARNING, WITHIN_GROUPS),)
