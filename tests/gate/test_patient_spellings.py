"""One patient under two names: what differs in spelling only is found, and different patients stay apart."""

import time

import numpy as np
import pytest

from tests.gate.made_evidence import make_evidence
from tlmed.columns import spell
from tlmed.findings import ERROR, GROUP, PATIENT, WARNING
from tlmed.gate.copies_and_labels import check_copies
from tlmed.gate.patient_spellings import check_patients, drop_word, spell_loosely


def check(groups, splits=None, labels=None, **fields):
    paths = [f"{number}.png" for number in range(len(groups))]
    labels = [0] * len(groups) if labels is None else labels
    return check_patients(make_evidence(paths, labels, tuple(groups), splits, **fields))


@pytest.mark.parametrize(
    "same",
    [
        ("P001", "p1", "P-01", "patient 1", "001", "1", "Patient_0001", "subject-1", "sub-01", "Case 1"),
        ("TCGA-17-Z034", "tcga_17_z34", "TCGA 17 Z034".replace(" ", ".")),
        ("person12_virus", "Person-12-VIRUS"),
        ("Müller 3", "MÜLLER-3"),
    ],
)
def test_spellings_of_one_name_are_alike(same):
    assert len({drop_word(spell_loosely(one)) for one in same}) == 1
    [found] = check([*same, "A99", "B99"]).findings
    assert (found.kind, found.level) == (PATIENT, WARNING)
    assert found.files == tuple(f"{number}.png" for number in range(len(same)))


@pytest.mark.parametrize(
    "names",
    [
        ("A1", "B1"),
        ("S1-1", "S11", "S1-11"),
        ("1.05", "1.5", "1-5"),
        ("person1_virus", "person1_bacteria"),
        ("N1-0001", "N2-0001", "N1-0002"),
        ("A+", "A-"),
        ("control 1", "case 1"),
        ("P1", "P10", "P100"),
        ("1a", "1b"),
        ("Smith", "Smyth"),
        ("unknown", "?", ""),
    ],
)
def test_other_patients_are_not(names):
    assert check([*names, *names]).findings == ()


def test_names_that_splits_take_for_one_are_one_here_too():
    for one, other in [("P 1", "p1"), ("7", "007"), ("A B", "ab"), ("001.000000E+00", "1")]:
        assert spell(one) == spell(other)
        assert spell_loosely(one) == spell_loosely(other)


def test_two_names_in_two_splits_are_an_error_and_the_text_says_where():
    checked = check(["P001", "P002", "patient 1", "P003"], ["train", "train", "test", "val"])
    [found] = checked.findings
    assert (found.kind, found.level, found.files) == (GROUP, ERROR, ("0.png", "2.png"))
    assert found.text == (
        "The groups 'P001' (train), 'patient 1' (test) may be one patient: their names differ only in case, "
        "separators, zeros in front of a number or a word for a patient."
    )
    assert "splits that are given" not in found.cure
    [given] = check(["P001", "P002", "patient 1", "P003"], ["train", "train", "test", "val"], made=()).findings
    assert given.cure.endswith("put the patient's images into one.")


def test_what_check_copies_names_is_not_named_again():
    groups, splits = ("P1", "p1", "P2", "P2", "P3", "P4"), ["train", "test", "train", "train", "val", "test"]
    evidence = make_evidence([*"abcdef"], groups=groups, splits=splits, made=())
    assert [found.kind for found in check_copies(evidence).findings] == [GROUP]
    assert check_patients(evidence).findings == ()
    together = make_evidence([*"abcdef"], groups=groups, splits=["train"] * 6, made=())
    assert [found.kind for found in check_patients(together).findings] == [PATIENT]


def test_two_numberings_are_told_from_one_patient_by_their_labels():
    groups = ["P1", "P2", "P3", "1", "2", "3"]
    apart = check(groups, labels=[0, 0, 0, 1, 1, 1])
    assert apart.findings == ()
    assert any(sentence.startswith("6 groups with and without a word") for sentence in apart.unchecked)
    assert len(check(groups, labels=[0, 1, 0, 0, 1, 0]).findings) == 3
    assert len(check(groups[:2] + groups[3:5], labels=[0, 0, 1, 1]).findings) == 2  # too few to tell
    # The same spelling with and without separators is no second numbering.
    assert len(check(["P1", "P2", "P3", "p-1", "p-2", "p-3"], labels=[0, 0, 0, 1, 1, 1]).findings) == 3


def test_errors_come_first_and_many_names_take_linear_time():
    groups = [f"P{number:05}" for number in range(3000)] + [f"p-{number}" for number in range(3000)]
    splits = ["train"] * 3000 + ["train"] * 2999 + ["test"]
    start = time.process_time()
    checked = check(groups, splits)
    assert time.process_time() - start < 2
    assert [found.level for found in checked.findings] == [ERROR] + [WARNING] * 2999
    assert checked.figures["names_alike"] == 3000


def test_pseudonyms_and_files_are_no_names():
    assert check(["file:1.png", "file:01.png"]).findings == ()
    checked = check(["patient-0002", "patient-00002", "study-0002", "unknown-0002"], pseudonyms=True)
    [found] = checked.findings
    assert "names in DICOM headers" in found.text
    assert found.files == ("0.png", "1.png")
    assert any("DICOM headers" in sentence for sentence in checked.unchecked)


def test_several_labels_and_one_image():
    assert check(["p1"], labels=[0]).findings == ()
    assert len(check(["p1", "P-1"], labels=[[1, 0], [0, -1]]).findings) == 1


STEMS = [f"P{one:03}_{other}.png" for one in range(10) for other in range(3)]


def test_stems_of_file_names_are_one_warning_where_no_groups_are_named(tmp_path):
    splits = ["train", "train", "test"] + ["train"] * 26 + ["val"]
    evidence = make_evidence(STEMS, splits=splits, root=tmp_path)
    [found] = check_patients(evidence).findings
    assert (found.kind, found.level) == (GROUP, WARNING)
    assert found.files == (*STEMS[:3], *STEMS[-3:])
    assert found.text == (
        "10 stems of file names are shared by 3 images each, 30 of 30 in all, such as 'P000' by 'P000_0.png' and "
        "'P000_1.png'. A stem may be a patient, and no groups are named. 2 of them are in several splits: 'P000' "
        "(train and test), 'P009' (train and val)."
    )
    assert "--group" in found.cure
    assert "--write" in found.cure
    [found] = check_patients(make_evidence(STEMS, splits=splits, root=tmp_path, folders=("",) * len(STEMS))).findings
    assert (
        found.cure
        == "If it is a patient, name it in a column of groups (`--group COLUMN`). If it is not, nothing is wrong."
    )
    assert check_patients(evidence).figures == {
        "names_alike": 0,
        "file_name_stems": 10,
        "stems_shared_by_images": 10,
        "stems_in_several_splits": 2,
    }
    [whole] = check_patients(make_evidence(STEMS, root=tmp_path)).findings
    assert (whole.kind, whole.level, len(whole.files)) == (PATIENT, WARNING, 30)


def test_groups_that_agree_with_file_names_are_no_finding_and_a_doubtful_one_is(tmp_path):
    groups = [path[:4] for path in STEMS]
    assert check_patients(make_evidence(STEMS, groups=tuple(groups), root=tmp_path)).findings == ()
    groups[4] = "P777"
    [found] = check_patients(make_evidence(STEMS, groups=tuple(groups), root=tmp_path)).findings
    assert (found.kind, found.level) == (PATIENT, WARNING)
    assert "'P001' ('P001', 'P777')" in found.text
    assert "1 stem of file names is shared by images of several groups, although 9 others lie in one" in found.text
    # Where stems and groups have nothing in common, stems are no patients.
    others = tuple(f"g{number}" for number in range(30))
    assert check_patients(make_evidence(STEMS, groups=others, root=tmp_path)).findings == ()


def test_names_of_rows_that_are_no_files_are_not_searched():
    checked = check_patients(make_evidence(STEMS))
    assert checked.findings == ()
    assert checked.unchecked == ("File names were not searched for patients: the images are no files.",)


def test_findings_are_the_same_each_time():
    groups = [f"{word}{number}" for number in range(5) for word in ("P", "p0", "", "patient ")]
    splits = np.random.RandomState(0).choice(["train", "test"], 20)
    first, second = (check(groups, splits) for _ in range(2))
    assert first.findings == second.findings
    assert len(first.findings) == 5
