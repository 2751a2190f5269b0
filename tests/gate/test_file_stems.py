"""Stems of file names that may be patients are found, and counters, classes, slices and dates are not taken for one."""

import csv
import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest

from tlmed.gate.file_stems import find_stems

SHARED = Path(os.environ.get("TLMED_TEST_DATA", "/nowhere"))
NUMBERS = range(30)

PATIENTS = {
    "P001_img1": [f"P{one:03}_img{other}.png" for one in range(4) for other in range(2)],
    "patient12-left": [f"patient{one}-{side}.png" for one in range(3) for side in ("left", "right")],
    "00000013_005": [f"{one:08}_{other:03}.png" for one in NUMBERS for other in range(3)],
    "IM-0001-0003": [f"IM-{one:04}-{other:04}.png" for one in NUMBERS for other in range(2)],
    "case_03_slice_7": [f"case_{one:02}_slice_{other}.png" for one in range(5) for other in range(9)],
    "slice7_P003": [f"slice{other}_P{one:03}.png" for one in range(5) for other in range(4)],
    "12_left": [f"{one}_{side}.jpeg" for one in NUMBERS for side in ("left", "right")],
    "tiles": [f"img_{one:04}_{other}.png" for one in NUMBERS for other in range(3)],
    "codes": [f"{hashlib.md5(bytes([one])).hexdigest()}_{other}.png" for one in NUMBERS for other in range(2)],
    "a date in front": [f"20240{1 + one % 9}15_{one:03}_{other}.png" for one in NUMBERS for other in range(2)],
    "folders": [f"images/P{one:03}/{other}.png" for one in NUMBERS for other in range(2)],
    "a site in front": [f"ulm_P{one}_{other}.png" for one in range(4) for other in range(3)],
    "numbers that begin anew": [f"{name}/{one}_{other}.png" for name in "ab" for one in NUMBERS for other in range(2)],
    "a volume": [f"sub-{one:02}_ses-{other}_T1w.nii.gz" for one in range(4) for other in range(2)],
    "bar codes": [f"TCGA-17-Z{one:03}-01-{other}.png" for one in range(4) for other in range(2)],
    "bar codes of several sites": [
        f"TCGA-{code}-DX{other}.png" for code in ("05-P015", "05-4244", "17-Z034", "2F-A9KO") for other in range(2)
    ],
    "a letter in front": [f"T{one}_{other}.png" for one in NUMBERS for other in range(2)],
    "another letter": [f"Z{one}_{other}.png" for one in NUMBERS for other in range(2)],
    "planes": [f"P{one}_{other}.nii.gz#plane=3" for one in range(4) for other in range(2)],
}
SINGLE = {
    "busi": [f"{name}/{name} ({number}).png" for name in ("benign", "malignant") for number in NUMBERS],
    "counters": [f"{name}/{number}.png" for name in "ab" for number in NUMBERS],
    "padded counters": [f"{name}/image_{number:04}.png" for name in "ab" for number in NUMBERS],
    "classes": [f"class{label}_{number}.png" for label in range(3) for number in NUMBERS],
    "folds": [f"{fold}_{number}.png" for fold in range(5) for number in NUMBERS],
    "slices": [f"slice{one}_{other}.png" for one in NUMBERS for other in range(5)],
    "days": [f"2024-0{1 + day // 28}-{1 + day % 28:02}_{other}.png" for day in range(80) for other in range(3)],
    "times": [f"IMG_20240101_1201{second:02}.jpg" for second in range(60)],
    "codes": [f"{hashlib.md5(str(one).encode()).hexdigest()[:8]}.png" for one in range(500)],
    "one patient each": [f"patient_{number}.png" for number in NUMBERS],
    "volumes": [f"hippocampus_{number:03}.nii.gz" for number in NUMBERS],
    "words": ["left.png", "right.png", "a.png", "b.png"],
    "one image": ["P1_1.png"],
    "empty": [],
}


@pytest.mark.parametrize("form", PATIENTS)
def test_patients_are_found_whole_and_apart(form):
    paths = PATIENTS[form]
    stems = find_stems(paths)
    sizes = Counter(Counter(stems).values())
    assert "" not in stems
    [(size, many)] = sizes.items()  # all have the same number of images, as they were made
    assert size * many == len(paths)
    expected = {"P001_img1": 4, "patient12-left": 3, "case_03_slice_7": 5, "slice7_P003": 5, "a site in front": 4}
    expected |= {"numbers that begin anew": 60, "a volume": 4, "planes": 4}
    expected |= {"bar codes": 4, "bar codes of several sites": 4}
    assert many == expected.get(form, len(NUMBERS))


@pytest.mark.parametrize("form", SINGLE)
def test_counters_and_the_like_are_no_patients(form):
    assert set(find_stems(SINGLE[form])) <= {""}


def test_stems_are_named_as_they_are_written():
    assert find_stems(PATIENTS["IM-0001-0003"])[0] == "IM-0000"
    assert find_stems(PATIENTS["P001_img1"])[:3] == ["P000", "P000", "P001"]
    assert find_stems(PATIENTS["numbers that begin anew"])[0] == "a/0"
    assert find_stems(["P01_a.png", "p1_b.png", "P2_a.png", "P2_b.png", "P3_a.png"])[:3] == ["P01", "P01", "P2"]


def test_folders_of_classes_are_no_patients():
    paths = [f"class_{label:02}/{number}.png" for label in range(20) for number in range(9)]
    assert set(find_stems(paths, classes=20)) == {""}


def count_pairs(keys):
    return sum(many * (many - 1) // 2 for key, many in Counter(keys).items() if key)


@pytest.mark.parametrize("name", ["cxr-pediatric", "nih-cxr-64"])
def test_all_pairs_of_two_public_sets_are_found_and_no_others(name):
    if not (file := SHARED / name / "labels.csv").exists():
        pytest.skip(f"needs TLMED_TEST_DATA: a folder with {name}/labels.csv")
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    groups = [row["group"] for row in rows]
    stems = find_stems([row["path"] for row in rows])
    both = [(stem, group) if stem else "" for stem, group in zip(stems, groups, strict=True)]
    assert count_pairs(both) == count_pairs(stems) == count_pairs(groups) > 1000


def test_names_of_busi_tell_no_patients():
    if not (SHARED / "busi").exists():
        pytest.skip("needs TLMED_TEST_DATA: a folder with busi")
    paths = [str(path.relative_to(SHARED / "busi")) for path in sorted((SHARED / "busi").glob("*/*.png"))]
    assert len(paths) == 780
    assert set(find_stems(paths, 3)) == {""}


def test_a_bar_code_is_one_patient_in_every_folder():
    stems = find_stems(
        [f"{name}/TCGA-17-Z{one:03}-{other}.png" for name in "ab" for one in NUMBERS for other in (1, 2)]
    )
    assert len(set(stems)) == len(NUMBERS)
