"""Shortcuts are found where they are, and nothing where there are none."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.gate.made_evidence import make_evidence
from tlmed.data import load
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.file_facts import FileFacts
from tlmed.findings import ERROR, SHORTCUT, WARNING
from tlmed.gate import shortcuts
from tlmed.gate.evidence import gather, take_rows
from tlmed.gate.frame_measures import measure_frames
from tlmed.gate.shortcuts import check_shortcuts
from tlmed.intensity import resolve

SHARED = Path(os.environ.get("TLMED_TEST_DATA", "/nowhere"))


def make(n=80, labels=None, seed=0, pixels=None, **fields):
    """Return evidence of noise."""
    random = np.random.RandomState(seed)
    if pixels is None:
        pixels = random.randint(0, 256, (n, 32, 32, 3)).astype(np.uint8)
    labels = random.randint(0, 2, n) if labels is None else labels
    paths = [f"{random.randint(10**6):06}.png" for _ in range(n)]
    return make_evidence(paths, labels, frames=measure_frames(pixels), **fields)


def name_strong(found):
    return [test["name"] for test in found.figures["tests"] if test["p_corrected"] <= 0.05]


def test_noise_is_no_shortcut_and_figures_are_plain_json():
    found = check_shortcuts(make())
    assert found.name == "shortcuts"
    assert found.findings == ()
    assert found.unchecked == ()
    assert json.loads(json.dumps(found.figures)) == found.figures
    assert {*found.figures["tests"][0]} == {"name", "family", "auc", "p", "p_corrected", "images"}
    assert (found.figures["images"], found.figures["owners"], found.figures["permutations"]) == (80, 80, 99)


def test_a_marker_in_a_corner_is_found_with_its_files():
    random = np.random.RandomState(1)
    labels = random.randint(0, 2, 120)
    pixels = random.randint(0, 120, (120, 64, 64, 3)).astype(np.uint8)
    has = random.rand(120) < np.where(labels == 1, 0.9, 0.1)
    pixels[has, 2:6, -6:-2] = 255
    found = check_shortcuts(make(120, labels, pixels=pixels))
    framed = [finding for finding in found.findings if "the brightness of the corner, top right" in finding.text]
    assert len(framed) == 1
    assert (framed[0].kind, framed[0].level) == (SHORTCUT, WARNING)
    assert "120 images" in framed[0].text
    assert "p = 0.00" in framed[0].text
    paths = list(make(120, labels, pixels=pixels).table.paths)
    assert [bool(has[paths.index(path)]) for path in framed[0].files] == [True] * 3 + [False] * 3
    assert [int(labels[paths.index(path)]) for path in framed[0].files] == [1] * 3 + [0] * 3


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (lambda label: FileFacts(format=("PNG", "JPEG")[label]), "format of the file"),
        (lambda label: FileFacts(height=64 + label, width=64), "height and width in pixels"),
        (lambda label: FileFacts(bits=8 + 8 * label), "bits of a sample"),
        (lambda label: FileFacts(tags={"manufacturer": "AB"[label]}), "manufacturer in the header"),
    ],
)
def test_classes_that_lie_in_different_files_are_an_error(facts, name):
    labels = np.arange(60) % 2
    found = check_shortcuts(make(60, labels, files=tuple(map(facts, labels))))
    (finding,) = found.findings
    assert finding.level == ERROR
    assert f"the {name}" in finding.text
    assert "AUC 1.00" in finding.text
    mixed = np.where(np.arange(60) % 10 < 2, 1 - labels, labels)  # true for 80 % of images
    (finding,) = check_shortcuts(make(60, labels, files=tuple(map(facts, mixed)))).findings
    assert finding.level == WARNING


def test_values_of_headers_are_written_nowhere():
    labels = np.arange(60) % 2
    files = tuple(FileFacts(tags={"station": f"secret{label}"}) for label in labels)
    found = check_shortcuts(make(60, labels, files=files))
    assert found.findings
    assert "secret" not in json.dumps(found.figures) + "".join(
        finding.text + finding.cure for finding in found.findings
    )


def test_patients_with_many_images_are_one_draw():
    labels = np.repeat([0, 1] * 7, 20)
    files = tuple(FileFacts(tags={"model": "AB"[(row // 20 + (row // 20 in (3, 6, 9, 12))) % 2]}) for row in range(280))
    alone = check_shortcuts(make(280, labels, files=files))
    grouped = check_shortcuts(make(280, labels, files=files, groups=tuple(f"p{row // 20}" for row in range(280))))
    assert "model in the header" in name_strong(alone)
    assert name_strong(grouped) == []
    assert grouped.figures["owners"] == 14


def test_a_column_that_is_the_label_in_other_words_is_asked_about_and_others_are_counted():
    labels = np.arange(80) % 2
    traits = {
        "subtype": tuple(("normal", "virus", "normal", "bacteria")[row % 4] for row in range(80)),
        "site": tuple("xy"[row // 2 % 2] for row in range(80)),
    }
    found = check_shortcuts(make(80, labels, traits=traits))
    (finding,) = found.findings
    assert finding.level == WARNING
    assert "column 'subtype'" in finding.text
    assert finding.text.endswith("is it known only after the diagnosis?")
    assert found.figures["subgroups"]["site"]["x"] == {"ill": 20, "well": 20}
    assert found.figures["subgroups"]["subtype"]["virus"] == {"ill": 0, "well": 20}


def test_columns_of_numbers_dates_and_texts_are_read_in_order_and_by_words():
    random = np.random.RandomState(4)
    labels = random.permutation(np.arange(180) % 2)
    age = np.where(labels == 1, 50, 60) + 12 * random.normal(size=180)
    days = 1200 * labels + random.randint(0, 1500, 180) + np.datetime64("2010-01-01")
    european = [f"{date.astype(object):%d.%m.%Y}" for date in days]
    noise = [" ".join(random.permutation(["film", "seen", "at", "noon", "by", "two"])) for _ in range(180)]
    traits = {
        "age": tuple(f"{value:.1f}" for value in age),
        "alter": tuple(f"{value:.1f}".replace(".", ",") for value in age),
        "taken": tuple(str(date) for date in days),
        "written": tuple(european),
        "note": tuple(
            f"{text} {'clear' if label else 'opaque'} {row}"
            for row, (text, label) in enumerate(zip(noise, labels, strict=True))
        ),
        "remark": tuple(f"{text} {row}" for row, text in enumerate(noise)),
    }
    found = check_shortcuts(make(180, labels, traits=traits))
    areas = {test["name"]: test["auc"] for test in found.figures["tests"]}
    by_hand = stats.mannwhitneyu(age[labels == 0], age[labels == 1]).statistic / 90**2
    assert areas["order of column 'age'"] == pytest.approx(by_hand, abs=0.02)
    assert areas["order of column 'alter'"] == pytest.approx(by_hand, abs=0.02)
    by_day = roc_auc_score(labels, days.astype(int))
    assert areas["order of column 'taken'"] == pytest.approx(by_day, abs=0.02)
    assert areas["order of column 'written'"] == pytest.approx(by_day, abs=0.02)
    assert areas["words in column 'note'"] > 0.99
    strong = name_strong(found)
    assert {"order of column 'age'", "order of column 'taken'", "words in column 'note'"} <= {*strong}
    assert "words in column 'remark'" not in strong
    # What may be the label in other words is asked about by itself.
    asked = [
        finding.text for finding in found.findings if finding.text.endswith("is it known only after the diagnosis?")
    ]
    assert all("'age'" not in text for text in asked)
    assert any("column 'note'" in text for text in asked)
    assert any("column 'age'" in finding.text for finding in found.findings)


def test_a_column_that_is_empty_more_often_in_one_class_is_told():
    random = np.random.RandomState(6)
    labels = np.arange(120) % 2
    empty = (labels == 0) & (random.rand(120) < 0.6)
    ages = tuple("" if gap else str(random.randint(30, 90)) for gap in empty)
    found = check_shortcuts(make(120, labels, traits={"age": ages}))
    (finding,) = [finding for finding in found.findings if "gaps in column 'age'" in finding.text]
    assert finding.level == WARNING
    (test,) = [test for test in found.figures["tests"] if test["name"] == "gaps in column 'age'"]
    assert test["auc"] == pytest.approx(roc_auc_score(labels, ~empty), abs=0.02)


def test_heights_that_separate_the_classes_at_one_value_are_an_error():
    random = np.random.RandomState(5)
    labels = np.arange(90) % 2
    heights = np.where(labels == 1, 700, 500) + random.randint(0, 200, 90)
    files = tuple(FileFacts(height=int(height), width=600, bytes=int(height) * 9) for height in heights)
    found = check_shortcuts(make(90, labels, files=files))
    areas = {test["name"]: test["auc"] for test in found.figures["tests"]}
    assert areas["order of heights in pixels"] == areas["order of sizes of files"] == 1
    (finding,) = [finding for finding in found.findings if "heights in pixels" in finding.text]
    assert finding.level == ERROR
    two = tuple(
        replace(file, height=(240, 256)[label], width=int(random.randint(150, 600)))
        for file, label in zip(files, labels, strict=True)
    )
    texts = [
        finding.text for finding in check_shortcuts(make(90, labels, files=two)).findings if finding.level == ERROR
    ]
    assert any("heights in pixels" in text for text in texts)
    mixed = tuple(replace(file, height=int(random.randint(500, 900))) for file in files)
    assert all("heights" not in finding.text for finding in check_shortcuts(make(90, labels, files=mixed)).findings)


def test_a_nuisance_of_one_class_of_five_is_found_although_the_mean_is_small():
    labels = np.arange(300) % 5
    random = np.random.RandomState(0)
    site = ["x" if random.rand() < np.where(label == 3, 0.8, 0.4) else "y" for label in labels]
    evidence = make(300, labels, traits={"site": tuple(site)}, classes=tuple("abcde"))
    (finding,) = check_shortcuts(evidence).findings
    assert finding.text.startswith("Whether an image is of class 'd' follows from the column 'site': AUC 0.")
    first = check_shortcuts(evidence).figures["tests"][0]
    assert first["auc"] < 0.6 <= first["auc_of_classes"]["d"]
    assert first["auc"] == pytest.approx(np.mean(list(first["auc_of_classes"].values())), abs=1e-3)


def test_labels_are_asked_about_one_by_one_and_unknown_answers_are_left_out():
    random = np.random.RandomState(0)
    labels = random.randint(0, 2, (200, 3))
    site = tuple("xy"[label] for label in labels[:, 1])
    labels[:40, 1] = -1
    found = check_shortcuts(make(200, labels, traits={"site": site}, classes=("edema", "mass", "nodule")))
    (finding,) = found.findings
    assert finding.text.startswith("Whether an image has the label 'mass' follows from the column 'site': AUC 1.00")
    assert "160 images" in finding.text
    assert {test["label"] for test in found.figures["tests"]} == {"edema", "mass", "nodule"}


def test_names_that_tell_the_class_are_said_to_tell_it():
    evidence = make(60, np.arange(60) % 2)
    names = tuple(f"{'scan' if row % 2 else 'person'}{row // 2:03}.png" for row in range(60))
    (finding,) = check_shortcuts(replace(evidence, table=replace(evidence.table, paths=names))).findings
    assert "in file names: AUC 1.00" in finding.text
    assert "No network sees a name" in finding.text


def test_running_numbers_of_each_class_are_no_shortcut():
    labels = np.repeat([0, 1], [70, 20])
    evidence = make(90, labels)
    names = tuple(f"{'ab'[label]}/{row % 70 if label == 0 else row - 70}.png" for row, label in enumerate(labels))
    table = replace(evidence.table, paths=names, classes=("a", "b"))
    assert check_shortcuts(replace(evidence, table=table)).findings == ()


def test_the_same_evidence_has_the_same_findings():
    evidence = make(60, traits={"site": tuple("xy" * 30)})
    first, second = check_shortcuts(evidence), check_shortcuts(evidence)
    assert first.figures == second.figures


def test_many_images_are_sampled_with_whole_patients(monkeypatch):
    monkeypatch.setattr(shortcuts, "MOST_IMAGES", 60)
    groups = tuple(f"p{row // 3}" for row in range(150))
    found = check_shortcuts(make(150, groups=groups))
    assert found.figures["images"] == 60
    assert found.figures["owners"] == 20
    assert found.unchecked == ("Shortcuts were looked for in 60 of 150 images, patients whole, drawn at random.",)


def test_what_cannot_be_tested_is_said():
    def say(evidence):
        found = check_shortcuts(evidence)
        assert found.findings == ()
        assert found.figures["tests"] == []
        (said,) = found.unchecked
        return said

    assert say(make(1, np.zeros(1, int))) == (
        "Shortcuts were not looked for: that takes 12 different images or more, and there are 1."
    )
    assert "two classes with 4 different images" in say(make(40, np.zeros(40, int)))
    assert "two classes with 4 different images" in say(make(40, (np.arange(40) < 3).astype(int)))
    assert "and there are 1" in say(make(500, sha256=["one"] * 500))
    assert "12 patients" in say(make(50, groups=tuple(f"p{row % 5}" for row in range(50))))
    empty = make(20)
    assert "and there are 0" in say(take_rows(empty, np.zeros(0, int)))


def test_images_that_do_not_differ_have_nothing_to_test():
    evidence = make(30, np.arange(30) % 2, pixels=np.full((30, 8, 8, 3), 9, np.uint8), digests=None)
    names = tuple(f"{'ill' if row % 2 == 0 else 'well'} {row // 2:02}.png" for row in range(30))
    found = check_shortcuts(replace(evidence, table=replace(evidence.table, paths=names)))
    assert found.figures["tests"] == []
    assert found.findings == ()


def test_many_classes_are_asked_for_by_size():
    labels = np.concatenate([np.repeat(np.arange(25), 5), np.repeat(np.arange(20), 5)])
    found = check_shortcuts(make(225, labels, classes=tuple(f"c{number:02}" for number in range(25))))
    assert found.unchecked == ("Shortcuts to 20 of 25 classes were looked for: those with most images.",)
    assert set(found.figures["tests"][0]["auc_of_classes"]) == {f"c{number:02}" for number in range(20)}


@pytest.mark.skipif(
    not (SHARED / "ct-contrast-dicom").is_dir(), reason="needs TLMED_TEST_DATA: a folder with ct-contrast-dicom"
)
def test_the_scanner_of_real_slices_is_found():
    pytest.importorskip("pydicom", reason="needs pydicom: pip install '.[dicom]'")
    source = SHARED / "ct-contrast-dicom" / "labels.csv"
    found = check_shortcuts(gather(load(source, PixelRule((64, 64), resolve("auto")))))
    (header,) = [finding for finding in found.findings if "in the header" in finding.text]
    assert "file and header as a whole" in header.text
    assert "kernel" in header.text
    assert found.figures["owners"] == 54
    assert found.figures["subgroups"]["manufacturer"]["GE MEDICAL SYSTEMS"] == {"contrast": 10, "no_contrast": 23}
