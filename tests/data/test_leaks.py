"""Findings on leaks name their files, and say which of them only ask for a look."""

import numpy as np
import pytest

from tlmed.data.leaks import contradict, find_leaks
from tlmed.data.learned import list_learned
from tlmed.data.table import Table
from tlmed.findings import (
    AMOUNT,
    CHOOSING,
    ERROR,
    GROUP,
    IDENTICAL,
    KNOWN,
    NAMES,
    TWO_LABELS,
    WARNING,
)

PATHS = tuple(f"{number}.png" for number in range(6))


def make(labels=(0, 0, 0, 1, 1, 1), groups=None, classes=("ill", "well")):
    return Table("data", PATHS, np.array(labels), classes, groups, None, open)


def test_findings_hold_the_files_that_their_sentences_are_about():
    table = make(groups=("p1", "p1", "p2", "p3", "p4", "p5"))
    splits = np.array(["train", "test", "val", "train", "test", "val"])
    found = find_leaks(table, ("a", "b", "c", "c", "d", "e"), splits)
    assert [(leak.kind, leak.files, leak.level) for leak in found] == [
        (AMOUNT, ("1.png",), ERROR),
        (TWO_LABELS, ("2.png", "3.png"), ERROR),
        (IDENTICAL, ("2.png", "3.png"), ERROR),
        (GROUP, ("0.png", "1.png"), ERROR),
    ]
    assert all(f"'{path}'" in leak.text for leak in found[1:] for path in leak.files)


def test_what_may_be_only_a_shared_name_is_a_warning():
    known = {
        "first": list_learned(
            [
                {"sha256": "a", "group": "", "split": "train"},
                {"sha256": "b", "group": "", "split": "train"},
                {"sha256": "x", "group": "P4", "split": "val"},
            ]
        )
    }
    splits = np.array(["test", "val", "train", "train", "test", "train"])
    found = find_leaks(make(groups=("q", "r", "s", "t", "p4", "u")), "abcdef", splits, known)
    assert [(leak.kind, leak.files, leak.level) for leak in found] == [
        (AMOUNT, ("0.png",), ERROR),
        (KNOWN, ("0.png",), ERROR),
        (NAMES, ("4.png",), WARNING),
        (CHOOSING, ("1.png",), WARNING),
    ]


@pytest.mark.parametrize(
    ("labels", "rows", "expected"),
    [
        ((0, 0, 0, 1, 1, 1), [0, 1], False),
        ((0, 0, 0, 1, 1, 1), [2, 3], True),
        ([[1, 0]] * 5 + [[1, -1]], [0, 5], False),  # not known is no contradiction
        ([[1, 0]] * 5 + [[1, 1]], [0, 5], True),
        ([[1, -1]] * 5 + [[-1, 0]], [0, 5], False),
    ],
)
def test_labels_contradict_each_other_only_where_both_are_known(labels, rows, expected):
    table = make(labels)
    assert contradict(table, rows) is expected
    same = ["same" if row in rows else str(row) for row in range(6)]
    kinds = [leak.kind for leak in find_leaks(table, same, np.full(6, "train"))]
    assert kinds == [TWO_LABELS] * expected
