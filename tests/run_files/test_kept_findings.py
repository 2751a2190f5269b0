"""What a run's check found, read back: how many test images repeat others, and the findings of folds, each once."""

import pytest

from tlmed.run_files.check_summary import (
    CheckSummary,
    say_amounts,
    say_errors,
    say_repeated,
    summarise,
    summarise_folds,
)
from tlmed.run_files.kept_findings import keep
from tlmed.run_files.merged_findings import merge

SPLITS = {"a": "train", "b": "test", "c": "val", "d": "test", "e": "train", "f": "test"}


def make(findings, splits=SPLITS, same=(), figures=("copies", "near-copies")):
    """Return kept findings, of (kind, level, files); images of `same` are equal byte for byte."""
    content = {
        "findings": [
            {"kind": kind, "level": level, "files": [*files], "text": f"{kind} {' '.join(files)}."}
            for kind, level, files in findings
        ],
        "figures": {name: {} for name in figures},
    }
    rows = [
        {"path": path, "group": "", "split": split, "sha256": "same" if path in same else path}
        for path, split in splits.items()
    ]
    return keep(content, rows)


def test_test_images_that_repeat_others_are_counted_once_with_where_those_are():
    found = [
        ("near-copy", "error", "ab"),  # train and test
        ("near-copy", "error", "bcd"),  # val and two of test, one of them counted already
        ("identical", "error", "ab"),
        ("near-copy", "error", "ac"),  # train and val: no test image
        ("near-copy", "error", "df"),  # in test alone, under two labels
        ("near-copy", "warning", "aef"),  # a warning sums up sets that are each in one split
        ("shortcut", "error", "bf"),  # no copies
    ]
    kept = make(found)
    assert kept.repeated == {"b": {"train", "val"}, "d": {"val"}}
    assert kept.crossing == {"near-copy": 3, "identical": 1}
    summary = summarise(kept)
    assert (summary.tested, summary.repeated, summary.of) == (3, 2, ("train", "val"))
    assert summary.errors == {"near-copy": 4, "identical": 1, "shortcut": 1}
    assert summary.warnings == {"near-copy": 1}
    assert say_repeated(summary) == "2 of 3 test images repeat an image of train or val"


def test_of_some_test_images_only_those_count():
    kept = make([("near-copy", "error", "ab"), ("near-copy", "error", "cd")], same="ab")
    assert say_repeated(summarise(kept)) == "2 of 3 test images repeat an image of train or val"
    assert say_repeated(summarise(kept.limit({"d", "f"}))) == "1 of 2 test images repeats an image of val"
    assert summarise(kept.limit({"d", "f"})).left_out == 0
    assert say_repeated(summarise(kept.limit({"f"}))) == ""
    (said,) = say_errors(summarise(kept.limit({"f"})))
    assert said.startswith("The check of the data found 2 errors (near-copy 2). See")


def test_without_a_check_or_errors_nothing_is_said():
    assert keep({}, []) is None
    assert summarise(None) is None
    assert summarise_folds({}) is None
    clean = summarise(make([("near-copy", "warning", "ae")]))
    for found in (None, clean):
        assert say_errors(found) == []
        assert say_repeated(found) == ""
    assert say_amounts({}, {}) == ""


@pytest.mark.parametrize(
    ("same", "said"),
    [
        ("", "Scores without them were not computed."),
        ("ab", "Scores without known images leave out only 1 of them; none leave out all."),
        ("abd", "Scores without known images leave them out."),
    ],
)
def test_it_is_said_whether_scores_without_copies_are_there(same, said):
    (sentence,) = say_errors(summarise(make([("near-copy", "error", "abd")], same=same)))
    assert sentence == (
        "The check of the data found 1 error (near-copy 1): 2 of 3 test images repeat an image of "
        f"train. {said} See report.html and check.json of the run."
    )


def test_errors_that_concern_no_test_image_are_told_without_one():
    assert say_errors(CheckSummary({"two-labels": 2}, {}, 9), "See below.") == [
        "The check of the data found 2 errors (two-labels 2). See below."
    ]


def test_findings_of_folds_stand_once_with_their_splits_in_each():
    other = {"a": "test", "b": "test", "c": "val", "d": "train", "e": "train", "f": "test"}
    one = make([("near-copy", "error", "ab"), ("shortcut", "warning", "ab"), ("near-copy", "warning", "ae")])
    two = make([("near-copy", "warning", "ba"), ("shortcut", "warning", "ab"), ("near-copy", "error", "ae")], other)
    merged = merge({"01": one, "02": two})
    assert [(found.kind, found.level, dict(found.levels)) for found in merged] == [
        ("near-copy", "error", {"01": "error", "02": "warning"}),
        ("near-copy", "error", {"01": "warning", "02": "error"}),
        ("shortcut", "warning", {"01": "warning", "02": "warning"}),
    ]
    assert merged[0].places == {"01": ("train", "test"), "02": ("test",)}
    assert merged[1].text == "near-copy a e."
    assert merged[1].places == {"01": ("train",), "02": ("train", "test")}
    assert merged[2].places == {}
    summary = summarise_folds({"01": one, "02": two})
    assert (summary.errors, summary.warnings) == ({"near-copy": 2}, {"shortcut": 1})
    assert (summary.tested, summary.repeated, summary.folds) == (6, 2, 2)
    (said,) = say_errors(summary)
    assert "2 of 6 test images repeat an image of train of their fold" in said
    assert "check.json of each fold" in said


def test_the_splits_of_one_fold_are_not_said_of_all():
    text = "'a' and 'b' show the same picture (correlation 0.99). They are in train and test."
    folds = {
        "01": make([("near-copy", "error", "ab")]),
        "02": make([("near-copy", "error", "ab")], {"a": "val", "b": "test"}),
    }
    for kept in folds.values():
        kept.content["findings"][0]["text"] = text
    (found,) = merge(folds)
    assert found.text == "'a' and 'b' show the same picture (correlation 0.99)."
    assert found.places == {"01": ("train", "test"), "02": ("val", "test")}
    (alone,) = merge({"01": folds["01"]})
    assert (alone.text, alone.places) == (text, {})
