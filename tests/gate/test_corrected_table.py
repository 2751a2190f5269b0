"""The corrected table: read back by tlmed it keeps copies together, leaves contradictions out, and says why."""

import csv
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.conftest import SMALL, draw, write_images
from tests.gate.made_evidence import make_evidence
from tlmed.data import load, open_source
from tlmed.errors import InputError
from tlmed.findings import ERROR, GROUP, IDENTICAL, NEAR_COPY, TWO_LABELS, WARNING, Finding
from tlmed.gate.copies_and_labels import check_copies
from tlmed.gate.copy_findings import DescribedPair, make_findings
from tlmed.gate.corrected_table import correct_table, name_left_out, write_corrected
from tlmed.gate.evidence import gather
from tlmed.gate.patient_spellings import check_patients
from tlmed.recipe import load_recipe, override

SIZE = (24, 24)


@pytest.fixture
def folder(tmp_path):
    """Give two classes of 12 images, with copies by bytes, by pixels, and under two labels."""
    root = write_images(tmp_path / "images", 12, ("ill", "well"))
    shutil.copyfile(root / "ill/ill (1).png", root / "ill/same.png")
    Image.open(root / "ill/ill (2).png").save(root / "ill/pixels.tiff")
    shutil.copyfile(root / "ill/ill (3).png", root / "well/contradiction.png")
    return root


def look(source):
    evidence = gather(load(source, SIZE))
    return evidence, [*check_copies(evidence).findings, *check_patients(evidence).findings]


def describe(evidence, one, other):
    """Return a pair of near-copies as the check of near-copies does."""
    return DescribedPair((one, other), (evidence.table.paths[one], evidence.table.paths[other]), 0.99, ())


def join(evidence, finding, folder):
    return correct_table(evidence, [finding], folder / "FIXED.csv").rows


def correct(source, file):
    corrected = correct_table(*look(source), file)
    write_corrected(file, corrected)
    return corrected


def read(file):
    with file.open(newline="") as opened:
        return {row["path"]: row for row in csv.DictReader(opened)}


def write_list(folder, rows, name="list.csv"):
    with (folder / name).open("w", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / name


def test_copies_share_a_group_and_contradictions_are_left_out(folder):
    file = folder / "FIXED.csv"
    corrected = correct(folder, file)
    rows, out = read(file), read(name_left_out(file))
    assert corrected.columns == ("path", "label", "group", "why")
    assert set(out) == {"ill/ill (3).png", "well/contradiction.png"}
    assert out["ill/ill (3).png"]["why"] == "same bytes as 'well/contradiction.png', under the labels ill, well"
    assert len(rows) == 27 - 2
    one, other = rows["ill/ill (1).png"], rows["ill/same.png"]
    assert one["group"] == other["group"] == "file:ill/ill (1).png"
    assert (one["why"], other["why"]) == ("same bytes as 'ill/same.png'", "same bytes as 'ill/ill (1).png'")
    assert rows["ill/pixels.tiff"]["group"] == rows["ill/ill (2).png"]["group"]
    assert rows["ill/pixels.tiff"]["why"] == "same pixels as 'ill/ill (2).png'"
    assert sum(bool(row["why"]) for row in rows.values()) == 4
    assert corrected.options == ""
    # Read back, it is what it says, without errors, and no patients are claimed.
    table = open_source(file)
    assert table.traits == {}
    assert table.paths == tuple(sorted(rows))
    assert dict(zip(table.paths, table.groups, strict=True)) == {path: row["group"] for path, row in rows.items()}
    evidence, findings = look(file)
    assert [found.level for found in findings] == [WARNING] * 2
    for seed in range(5):
        again = gather(load(file, SIZE, seed=seed))
        assert [found.kind for found in check_copies(again).findings if found.level == ERROR] == []
    assert correct_table(evidence, findings, file).rows == corrected.rows  # nothing is left to correct


def test_a_run_trains_on_it_at_once(folder, tmp_path):
    correct(folder, folder / "FIXED.csv")
    settings = ("backbone=CifarNet", "weights=none", "data.image_size=32,32", "phases.epochs=1", "examples=0")
    assert set(settings[:3]) <= set(SMALL)
    recipe = override(load_recipe("fine_tuning"), settings)
    run = tlmed.train(recipe, out=tmp_path / "run", data=str(folder / "FIXED.csv"))
    splits = read(tmp_path / "run" / "splits.csv")
    assert len(splits) == 25
    assert splits["ill/ill (2).png"]["split"] == splits["ill/pixels.tiff"]["split"]
    assert run.metrics["n"] > 0


def test_paths_lead_from_the_folder_of_the_table(folder):
    file = folder.parent / "FIXED.csv"
    correct(folder, file)
    assert len(read(file)) == 25
    assert all((folder.parent / path).is_file() for path in read(file))
    assert len(open_source(file)) == 25
    with pytest.raises(InputError, match=r"must name a file in .*images, where the images are, or in a folder above"):
        correct_table(*look(folder), folder / "ill" / "FIXED.csv")


def test_given_splits_stay_and_why_says_so(folder):
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.*"))
    tested = {"ill/same.png", "ill/ill (5).png", "well/well (5).png"}

    def split_of(path):
        return "test" if path in tested else "train"

    rows = [
        {"path": path, "label": path.split("/")[0], "split": split_of(path), "site": f"s{number % 3}"}
        for number, path in enumerate(paths)
    ]
    source = write_list(folder, rows)
    corrected = correct(source, folder / "FIXED.csv")
    given, fixed = read(source), read(folder / "FIXED.csv")
    assert corrected.columns == ("path", "label", "group", "split", "site", "why")
    assert {path: row["split"] for path, row in fixed.items()} == {path: given[path]["split"] for path in fixed}
    assert {path: row["site"] for path, row in fixed.items()} == {path: given[path]["site"] for path in fixed}
    assert fixed["ill/same.png"]["why"] == (
        "same bytes as 'ill/ill (1).png', in train and test: given splits stay as they are"
    )
    assert fixed["ill/pixels.tiff"]["why"] == "same pixels as 'ill/ill (2).png'"
    evidence, findings = look(folder / "FIXED.csv")
    assert evidence.table.traits.keys() == {"site"}
    assert any(found.kind in (IDENTICAL, GROUP) and found.level == ERROR for found in findings)
    assert TWO_LABELS not in {found.kind for found in findings}


def test_groups_are_joined_through_copies_and_spellings(tmp_path):
    paths = [f"{number}.png" for number in range(8)]
    groups = ("P2", "P9", "p-2", "P3", "P4", "P4", "P5", "P6")
    evidence = make_evidence(paths, [0, 0, 0, 0, 0, 1, 0, 1], groups=groups, root=tmp_path)
    findings = [
        Finding(IDENTICAL, "", ("1.png", "3.png"), WARNING),
        Finding(NEAR_COPY, "", ("3.png", "4.png"), ERROR),
    ]
    corrected = correct_table(evidence, findings, tmp_path / "FIXED.csv")
    rows = {row[0]: dict(zip(corrected.columns, row, strict=True)) for row in corrected.rows}
    assert [rows[path]["group"] for path in paths] == ["P2", "P3", "P2", "P3", "P3", "P3", "P5", "P6"]
    assert rows["2.png"]["why"] == "group 'p-2' is joined with 'P2'"
    assert rows["1.png"]["why"].endswith("group 'P9' is joined with 'P3'")
    assert rows["5.png"]["why"] == "group 'P4' is joined with 'P3'"
    assert rows["4.png"]["why"] == "a copy, by its looks, of '3.png'; group 'P4' is joined with 'P3'"
    assert rows["6.png"]["why"] == ""
    assert corrected.joined == 4


def test_near_copies_under_two_labels_are_left_out(tmp_path):
    evidence = make_evidence(["a.png", "b.png", "c.png", "d.png"], [0, 1, 0, 1], root=tmp_path)
    corrected = correct_table(evidence, [Finding(NEAR_COPY, "", ("a.png", "b.png"), ERROR)], tmp_path / "F.csv")
    assert [row[0] for row in corrected.rows] == ["c.png", "d.png"]
    assert corrected.left_out[0][-1] == "a copy, by its looks, of 'b.png', under the labels ill, well"
    assert corrected.joined == 0


def test_copies_summed_up_within_groups_join_none(tmp_path):
    paths = [f"{number}.png" for number in range(4)]
    evidence = make_evidence(paths, [0] * 4, groups=("a", "a", "b", "b"), root=tmp_path)
    [within] = make_findings(evidence, [[0, 1], [2, 3]], [describe(evidence, 0, 1), describe(evidence, 2, 3)])
    assert [row[2] for row in join(evidence, within, tmp_path)] == ["a", "a", "b", "b"]
    [across] = make_findings(evidence, [[0, 1, 2, 3]], [describe(evidence, *pair) for pair in ((0, 1), (1, 2), (2, 3))])
    assert [row[2] for row in join(evidence, across, tmp_path)] == ["a"] * 4


def test_stems_of_file_names_become_groups_where_none_are_named(tmp_path):
    paths = [f"P{one:03}_{other}.png" for one in range(5) for other in range(2)]
    evidence = make_evidence([*paths, "other.png"], root=tmp_path)
    corrected = correct_table(evidence, [], tmp_path / "FIXED.csv")
    assert [row[2] for row in corrected.rows] == [*(path[:4] for path in paths), "file:other.png"]
    assert [row[-1] for row in corrected.rows] == ["the group is from the file's name"] * 10 + [""]
    alone = correct_table(make_evidence(["b.png", "c.png"], root=tmp_path), [], tmp_path / "FIXED.csv")
    assert alone.columns == ("path", "label", "why")


def test_names_of_files_that_are_spelled_alike_are_not_joined(tmp_path):
    evidence = make_evidence(["1.png", "01.png", "x.png", "X.png"], [0, 1, 0, 1], root=tmp_path)
    joined = correct_table(evidence, [Finding(IDENTICAL, "", ("x.png", "1.png"), WARNING)], tmp_path / "FIXED.csv")
    assert [row[2] for row in joined.rows] == ["file:1.png", "file:01.png", "file:1.png", "file:X.png"]


def test_a_column_with_the_name_of_another_gets_a_longer_one_and_a_second_patient_asks_for_an_option(tmp_path):
    paths = [f"{number}.png" for number in range(4)]
    traits = {"Label": ("1", "2", "3", "4"), "patient": ("p", "p", "q", "q")}
    evidence = make_evidence(paths, groups=("e1", "e2", "e3", "e4"), root=tmp_path, traits=traits)
    corrected = correct_table(evidence, [], tmp_path / "FIXED.csv")
    assert corrected.columns == ("path", "label", "group", "Label (source)", "patient", "why")
    assert corrected.options == "--group group"


def test_five_thousand_copies_take_linear_time(tmp_path):
    paths = [f"{number:05}.png" for number in range(5000)]
    labels = [0] * 4999 + [1]
    evidence = make_evidence(paths, labels, sha256=["same"] * 4999 + ["other"], root=tmp_path)
    start = time.process_time()
    corrected = correct_table(evidence, [Finding(IDENTICAL, "", tuple(paths[:4999]), WARNING)], tmp_path / "F.csv")
    assert time.process_time() - start < 2
    assert {row[2] for row in corrected.rows[:-1]} == {"file:00000.png"}
    assert corrected.rows[1][-1] == "same bytes as '00000.png', in a set of 4,999 copies"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"root": None}, "files with one label each. .* which holds no files"),
        ({"folders": ("a", "a")}, "parts of files, or folders"),
        ({"paths": ("a.nii#plane=1", "a.nii#plane=2")}, "parts of files, or folders"),
        ({"labels": np.array([[1, 0], [0, 1]])}, "an image may have several labels"),
        ({"classes": ("nan", "well")}, "the class 'nan', which in a table means"),
    ],
)
def test_what_a_table_cannot_hold_is_refused_with_one_line(tmp_path, change, said):
    evidence = make_evidence(["a.png", "b.png"], root=tmp_path)
    evidence = replace(evidence, table=replace(evidence.table, **change))
    with pytest.raises(InputError, match=said) as error:
        correct_table(evidence, [], tmp_path / "FIXED.csv")
    assert len(error.value.faults) == 1
    assert "\n" not in str(error.value)


def test_a_class_that_would_be_lost_is_refused(tmp_path):
    evidence = make_evidence(["a.png", "b.png", "c.png"], [0, 1, 0], root=tmp_path)
    with pytest.raises(InputError, match=r"find out their labels first. .* no other one of the class 'well'"):
        correct_table(evidence, [Finding(TWO_LABELS, "", ("a.png", "b.png"))], tmp_path / "FIXED.csv")


def test_volumes_by_their_planes_are_refused(tmp_path):
    pixels = draw(0, 0)
    np.savez(
        tmp_path / "set.npz",
        **{f"{split}_images": np.stack([pixels] * 4) for split in ("train", "val", "test")},
        **{f"{split}_labels": np.array([[0], [1], [0], [1]]) for split in ("train", "val", "test")},
    )
    with pytest.raises(InputError, match="which holds no files"):
        correct_table(*look(tmp_path / "set.npz"), tmp_path / "FIXED.csv")


def test_a_column_of_reasons_is_no_subgroup_and_no_patient(folder):
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.png"))
    rows = [{"path": path, "label": path.split("/")[0], "why": f"r{n // 2:03}"} for n, path in enumerate(paths)]
    table = open_source(write_list(folder, rows))
    assert (table.groups, table.traits) == (None, {})
