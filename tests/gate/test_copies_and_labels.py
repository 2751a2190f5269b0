"""Copies by bytes and by pixels, and groups in several splits, each told once and with its level."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw
from tests.gate.made_evidence import make_evidence
from tlmed.data import load
from tlmed.data.file_facts import FileFacts
from tlmed.data.leaks import find_leaks
from tlmed.findings import AMOUNT, ERROR, GROUP, IDENTICAL, TWO_LABELS, WARNING
from tlmed.gate.copies_and_labels import check_copies
from tlmed.gate.evidence import gather

PATHS = [f"{name}.png" for name in "abcdef"]


def show(checked):
    return [(found.kind, found.level, found.files) for found in checked.findings]


def test_different_images_are_no_finding():
    checked = check_copies(make_evidence(PATHS, splits=["train", "test", "val"] * 2))
    assert checked.findings == ()
    assert not any(checked.figures.values())
    assert checked.unchecked == ("Whether a patient is in several splits cannot be told: no groups are named.",)


def test_copies_in_several_splits_are_errors_and_others_warnings():
    same = ["x", "y", "x", "y", "z", "w"]
    evidence = make_evidence(PATHS, [0, 1, 0, 1, 0, 1], splits=["train", "val", "test", "val", "train", "test"])
    checked = check_copies(replace(evidence, sha256=tuple(same), digests=tuple(map(str.encode, same))))
    assert show(checked) == [
        (IDENTICAL, ERROR, ("a.png", "c.png")),
        (IDENTICAL, WARNING, ("b.png", "d.png")),
    ]
    assert checked.findings[0].text == "Byte-identical files are in train and test: 'a.png', 'c.png'."
    assert checked.findings[1].text == "Byte-identical files are in val alone, 2 of them: 'b.png', 'd.png'."
    assert checked.figures["test_images_also_in_train_or_val"] == 1
    assert checked.figures["byte_identical_sets"] == 2
    assert checked.figures["pixel_identical_sets"] == 0


def test_all_that_find_leaks_says_of_the_images_themselves_is_said_once_and_in_the_same_words():
    groups, splits = ("p1", "p1", "p2", "P2", "p4", "p5"), ["train", "test", "val", "train", "test", "val"]
    evidence = make_evidence(PATHS, groups=groups, splits=splits, made=(), sha256="abccde")
    evidence = replace(evidence, digests=(b"1", b"2", b"3", b"3", b"4", b"5"))
    leaks = find_leaks(evidence.table, evidence.sha256, evidence.splits)
    expected = {(leak.kind, leak.text, leak.files) for leak in leaks if leak.kind != AMOUNT}
    found = [(found.kind, found.text, found.files) for found in check_copies(evidence).findings]
    assert {kind for kind, _, _ in expected} == {TWO_LABELS, IDENTICAL, GROUP}
    assert len(found) == len(expected)
    assert set(found) == expected
    assert all(finding.level == ERROR and finding.cure for finding in check_copies(evidence).findings)


def test_equal_pixels_in_other_files_are_one_finding_with_their_equal_bytes():
    files = [FileFacts(format=name) for name in ("PNG", "PNG", "TIFF", "PNG", "PNG", "PNG")]
    evidence = make_evidence(PATHS, [0] * 5 + [1], splits=["train"] * 5 + ["test"], files=tuple(files), root=Path())
    same = replace(evidence, sha256=tuple("xxyzuv"), digests=(b"1", b"1", b"1", b"2", b"3", b"4"))
    [found] = check_copies(same).findings
    assert (found.kind, found.level, found.files) == (IDENTICAL, WARNING, ("a.png", "b.png", "c.png"))
    assert found.text == (
        "Images of equal pixels, at the size of the network, in 2 different files (PNG and TIFF), are in train alone, "
        "3 of them: 'a.png', 'b.png', 'c.png'."
    )
    crossing = check_copies(replace(same, splits=np.array(["train", "train", "test", "val", "val", "val"])))
    assert [(finding.kind, finding.level) for finding in crossing.findings] == [(IDENTICAL, ERROR)]
    assert crossing.figures["pixel_identical_sets"] == 1
    assert crossing.figures["byte_identical_sets"] == 0
    assert crossing.figures["test_images_also_in_train_or_val"] == 1


def test_the_cure_names_write_only_where_it_would_help(tmp_path):
    digests = (b"1", b"1", b"2", b"3", b"4", b"5")
    for made, splits, root, helps in [
        (("train", "val", "test"), ["train", "test"], tmp_path, True),
        (("train", "val", "test"), ["train", "test"], None, False),  # no files, of which `--write` could make a table
        ((), ["train", "test"], tmp_path, False),
        (("val",), ["train", "test"], tmp_path, False),
        (("val",), ["train", "val"], tmp_path, True),
    ]:
        labels, given = [0, 0, 1, 0, 1, 0], [*splits, *["train"] * 4]
        evidence = make_evidence(PATHS, labels, splits=given, made=made, digests=digests, root=root)
        [found] = check_copies(evidence).findings
        assert found.level == ERROR
        assert ("--write" in found.cure) is helps


def test_equal_pixels_under_two_labels_are_an_error_in_one_split_too():
    digests = (b"1", b"1", b"2", b"3", b"4", b"5")
    evidence = make_evidence(PATHS, [0, 1, 0, 1, 0, 1], digests=digests)
    [found] = check_copies(evidence).findings
    assert (found.kind, found.level, found.files) == (TWO_LABELS, ERROR, ("a.png", "b.png"))
    assert " stand under the labels ill, well: 'a.png', 'b.png'." in found.text


def test_a_label_that_is_not_known_contradicts_none():
    digests = (b"1", b"1", b"2", b"3", b"4", b"5")
    labels = [[1, -1], [1, 0], [0, 0], [0, 1], [1, 1], [0, 0]]
    [found] = check_copies(make_evidence(PATHS, labels, digests=digests)).findings
    assert (found.kind, found.level) == (IDENTICAL, WARNING)
    labels[1] = [0, 0]
    [found] = check_copies(make_evidence(PATHS, labels, digests=digests)).findings
    assert (found.kind, found.level) == (TWO_LABELS, ERROR)


@pytest.mark.parametrize(("deviation", "found"), [(0, 0), (2.9, 0), (3.1, 2)])
def test_images_nearly_of_one_gray_level_are_no_copies_of_each_other(deviation, found):
    evidence = make_evidence(PATHS, digests=(b"black",) * 6, splits=["train", "test"] * 3)
    evidence.frames["deviation"] = deviation
    checked = check_copies(evidence)
    assert len(checked.findings) == found  # they have two labels, and are in two splits
    assert checked.figures["test_images_also_in_train_or_val"] == (3 if found else 0)


def test_equal_bytes_are_copies_whatever_they_show():
    evidence = make_evidence(PATHS, digests=(b"black",) * 6, sha256="aabcde", splits=["train", "test"] * 3)
    evidence.frames["deviation"] = 1
    checked = check_copies(evidence)
    assert [found.kind for found in checked.findings] == [TWO_LABELS, IDENTICAL]
    assert all(found.files == ("a.png", "b.png") for found in checked.findings)
    assert checked.figures["test_images_also_in_train_or_val"] == 1


def test_without_digests_of_pixels_that_is_said():
    evidence = make_evidence(PATHS, sha256="aabcde", labels=[0] * 6)
    [found] = check_copies(replace(evidence, digests=None)).findings
    assert found.kind == IDENTICAL
    said = check_copies(replace(evidence, digests=None)).unchecked
    assert any("Pixels were not compared" in sentence for sentence in said)


def test_five_thousand_copies_are_one_finding_in_linear_time():
    paths = [f"{number}.png" for number in range(5000)]
    evidence = make_evidence(paths, [0] * 5000, sha256=["same"] * 5000, digests=(b"same",) * 5000)
    start = time.process_time()
    [found] = check_copies(evidence).findings
    assert time.process_time() - start < 1
    assert found.files == tuple(paths)
    assert len(found.text) < 200
    assert "5,000" in found.text


def test_one_image_and_ten_identical_ones():
    assert check_copies(make_evidence(["a.png"], classes=("ill",), labels=[0])).findings == ()
    [found] = check_copies(make_evidence(list("abcdefghij"), [0] * 10, sha256="x" * 10, digests=(b"x",) * 10)).findings
    assert len(found.files) == 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give images of which one is there as a PNG, as another PNG of the same pixels, as a TIFF and as the same file."""
    root = tmp_path_factory.mktemp("data")
    for label, name in enumerate(("ill", "well")):
        (root / name).mkdir()
        for number in range(8):
            Image.fromarray(draw(label, number)).save(root / name / f"{number}.png")
    image = Image.open(root / "ill/0.png")
    image.save(root / "ill/other.tiff")
    image.save(root / "ill/small.png", compress_level=1)
    (root / "ill/same.png").write_bytes((root / "ill/0.png").read_bytes())
    return root


def test_real_files_of_equal_pixels_are_found_and_similar_ones_are_not(folder):
    [found] = check_copies(gather(load(folder, (32, 32)))).findings
    assert found.kind == IDENTICAL
    assert set(found.files) == {"ill/0.png", "ill/other.tiff", "ill/small.png", "ill/same.png"}
    assert "in 3 different files" in found.text
