"""The table of experience: what it holds, what its reader refuses, and what a contribution may hold."""

import csv
import dataclasses
import io
import re

import pytest

from tests.advising.experience_rows import make_row
from tlmed.advising.experience import (
    COLUMNS,
    PROBE,
    SHIPPED,
    check_contribution,
    contribute,
    describe_set,
    leave_out,
    name_set,
    name_weights,
    read_experience,
)
from tlmed.errors import InputError


@pytest.fixture
def table(tmp_path):
    """Give a table of two rows."""
    file = tmp_path / "mine.csv"
    contribute(file, [make_row(), make_row(kind="thaw2", recipe="fine_tuning", score=0.85)])
    return file


def change(file, column, text):
    """Write another text into a column of the second row."""
    header, first, second = csv.reader(io.StringIO(file.read_text()))
    second[header.index(column)] = text
    with file.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, first, second])


def test_what_was_contributed_is_read_again(table):
    rows = read_experience([table])
    assert rows == (make_row(), make_row(kind="thaw2", recipe="fine_tuning", score=0.85))
    assert read_experience([table, table]) == rows + rows


def test_a_table_that_cannot_be_added_to_is_refused_before_there_is_anything_to_add(table, tmp_path):
    out = tmp_path / "advice"
    check_contribution(table, out, "breast study 7")
    check_contribution(out / "mine.csv", out)
    other = tmp_path / "other.csv"
    other.write_text("path,label\n")
    for file, name, fault in (
        (other, None, "other.csv, without 'set'"),
        (tmp_path / "no" / "mine.csv", None, "must go into a file that can be written"),
        (table / "mine.csv", None, "must go into a file that can be written"),
        (tmp_path, None, "must be a CSV file"),
        (table, "Smith/a.png", "`--name` must be up to 80 plain letters"),
    ):
        with pytest.raises(InputError, match=re.escape(fault)):
            check_contribution(file, out, name)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        *[
            ("score", text)
            for text in ("nan", "inf", "1.5", "", " 0.8", "0,8", "1e-1", "0x1", "1_0", "\u0660", "__import__")
        ],
        *[("images", text) for text in ("0", "-3", "2.5", "")],
        *[("gray", text) for text in ("True", "1")],
        *[("set", text) for text in ("", "=1+1", "@SUM(A1)", "-cmd", "+1", "/data/smith", r"C:\smith", "smith.png")],
        *[("set", text) for text in ("../x", "a\nb", "a" * 81, "${HOME}", "`id`", "__import__('os')", "<script>", "é")],
        *[("provenance", text) for text in ("exec('1')", "python x.py", "https://x", "{{ 1 }}", "a;b")],
        *[("weights", text) for text in ("/home/a.h5", "imagenet/keras", "model.keras")],
        *[("modality", text) for text in ("ultrasound", "CT")],
        *[("image_size", text) for text in ("64", "64 x 64", "0x64")],
        *[("contributed", text) for text in ("", "maybe")],
        *[("date", text) for text in ("yesterday", "27.11.2026")],
        *[("kind", text) for text in ("lambda: 0", "Probe")],
        *[("tlmed", text) for text in ("", "import os")],
    ],
)
def test_a_cell_that_is_not_what_its_column_holds_is_refused_in_one_line(table, column, text):
    change(table, column, text)
    with pytest.raises(InputError, match=f"`{column}` of experience must be .*row 2") as error:
        read_experience([table])
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("column", ["ratio", "groups", "gray", "detail_64", "spread", "probe", "modality"])
def test_what_is_not_known_is_a_blank_cell(table, column):
    change(table, column, "")
    assert getattr(read_experience([table])[1], column) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "without 'set'"),
        (",".join(COLUMNS[:-1]), "without 'sketch'"),
        (",".join((*COLUMNS, "patient")), "with 'patient'"),
        (",".join(COLUMNS[::-1]), "in another order"),
        (",".join((*COLUMNS, "set")), "or twice"),
        (",".join(COLUMNS) + "\na,b\n", "row 1, with 2"),
        (",".join(COLUMNS) + '\n"a,b\n', "unexpected end"),
        (b"\xff\xfe\x00", "decode"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, content, said):
    file = tmp_path / "other.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=said) as error:
        read_experience([file])
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_is_not_there_or_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv", "/dev/zero"):
        with pytest.raises(InputError, match="must be a CSV file"):
            read_experience([path])


def test_a_contribution_adds_rows_and_replaces_the_same_measurement(table):
    contribute(table, [make_row(score=0.9), make_row(backbone="VGG16", weights="bsds500")])
    rows = read_experience([table])
    assert [(row.backbone, row.kind, row.score) for row in rows] == [
        ("MobileNetV2", "probe", 0.9),
        ("MobileNetV2", "thaw2", 0.85),
        ("VGG16", "probe", 0.8),
    ]


def test_a_contribution_holds_no_path_and_no_name_of_a_file(tmp_path):
    file = tmp_path / "mine.csv"
    bad = {
        "set": ("/data/smith", r"C:\smith", "smith.dcm", "data/smith"),
        "recipe": ("recipes/own", "own.py"),
        "backbone": ("/models/own",),
        "weights": ("/home/ann/smith.h5", "imagenet/keras"),
        "provenance": ("tlmed advise --data /data/smith",),
    }
    for name, texts in bad.items():
        for text in texts:
            with pytest.raises(InputError, match=f"`{name}` of experience must be .*what is contributed"):
                contribute(file, [make_row(), make_row(**{name: text})])
    assert not file.exists()
    contribute(file, [make_row(weights=name_weights("/home/ann/smith.h5"))])
    assert re.findall("smith|/", file.read_text()) == []


def test_nothing_is_lost_where_a_contribution_is_refused(table):
    before = table.read_bytes()
    with pytest.raises(InputError):
        contribute(table, [make_row(backbone="VGG16"), make_row(score=2.0)])
    assert table.read_bytes() == before
    table.write_text("path,label\na.png,ill\n")
    with pytest.raises(InputError, match="without 'set'"):
        contribute(table, [make_row()])
    assert table.read_text() == "path,label\na.png,ill\n"
    with pytest.raises(InputError, match="can be written"):
        contribute(table.parent / "none" / "mine.csv", [make_row()])


def test_images_without_a_name_are_called_by_a_digest_of_what_they_are():
    fingerprint = make_row().fingerprint
    fields = describe_set(fingerprint | {"modality": "ultrasound"}, "single-label")
    assert fields["set"] == name_set(fingerprint | {"modality": "ultrasound"}) != name_set(fingerprint)
    assert fields["modality"] == "sonography"
    assert describe_set(fingerprint, "single-label", "mine")["set"] == "mine"
    again = make_row(**describe_set(fingerprint, "single-label", "a"))
    assert (again, again.fingerprint) == (make_row(), fingerprint)


def test_weights_are_called_by_their_name_or_file():
    names = ("imagenet/keras", "radimagenet:/models", "none", "own", "run:/runs/a", "imagenet.h5", "/x/imagenet")
    assert [name_weights(name) for name in names] == ["imagenet", "radimagenet", "none", "own", "file", "file", "file"]


def test_a_set_is_left_out_by_its_name():
    rows = [make_row(), make_row(set="b"), make_row(set="a", images=5)]
    assert leave_out(rows, "a") == (make_row(set="b"),)


def test_the_shipped_table_is_small_whole_and_nobody_s_private_data():
    rows = read_experience()
    assert 100 < len(rows) < 600
    assert SHIPPED.stat().st_size < 200_000
    assert {"busi", "cxr-pediatric", "ct-contrast-dicom", "nih-cxr-64", "breastmnist"} <= {row.set for row in rows}
    assert not any(row.contributed for row in rows)
    keys = [dataclasses.replace(row, score=0.0, spread=None, probe=None, seconds=0.0) for row in rows]
    assert len(set(keys)) == len(rows)
    for row in rows:
        own = [each for each in rows if each.kind == PROBE and each.recipe == "feature_extractor"]
        same = [
            each.score
            for each in own
            if (each.fingerprint, each.set) == (row.fingerprint, row.set)
            and (each.backbone, each.weights, each.image_size) == (row.backbone, row.weights, row.image_size)
        ]
        assert row.probe == (same[0] if same else None)


def test_the_shipped_table_goes_into_the_installed_package():
    text = (SHIPPED.parent.parent.parent / "setup.cfg").read_text()
    assert "    advise/*.csv\n" in text
    assert not (SHIPPED.parent / "__init__.py").exists()
