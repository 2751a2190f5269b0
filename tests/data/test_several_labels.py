"""Sources with several labels per image: how they are read, what is refused, and how images are divided."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.data.test_data_sources import archive
from tlmed.data import load, open_source
from tlmed.data.several_labels import have_several
from tlmed.data.splits import assign_splits, count_folds, find_scheme_faults
from tlmed.data.stratification import split_vectors
from tlmed.data.table import Table
from tlmed.errors import InputError
from tlmed.label_texts import read_vector, write_vector
from tlmed.label_vectors import read_labels, write_labels
from tlmed.sections import Images, KFold
from tlmed.source_layout import Layout

NAMES = ("edema", "mass")


def write(folder, header, *rows):
    for row in rows:
        Image.new("RGB", (20, 20), (ord(row[0][0]), 9, 9)).save(folder / row[0])
    (folder / "list.csv").write_text("\n".join(",".join(map(str, row)) for row in (header, *rows)) + "\n")
    return folder / "list.csv"


def read(file, **settings):
    return open_source(file, Images("x", **settings).layout)


def test_texts_and_vectors_are_the_same_both_ways():
    labels = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)])
    texts = write_labels(labels, ("b", "a", "c"))
    assert len(set(texts)) == 27
    np.testing.assert_array_equal(read_labels(texts, ("b", "a", "c"), several=True), labels)
    assert write_vector(read_vector("a|?c", {"b": 0, "a": 1, "c": 2}), ("b", "a", "c")) == "a|?c"


@pytest.mark.parametrize(("uncertain", "value"), [("ignore", -1), ("positive", 1), ("negative", 0)])
def test_columns_of_0_and_1_give_vectors(tmp_path, uncertain, value):
    rows = ("c.png", 1, "", "F"), ("a.png", "0.0", "-1.0", "M"), ("b.png", 1, -1, "F")
    table = read(write(tmp_path, ("path", *NAMES, "sex"), *rows), label_columns=NAMES, uncertain=uncertain)
    assert table.classes == NAMES
    assert table.paths == ("a.png", "b.png", "c.png")
    assert table.labels.tolist() == [[0, value], [1, value], [1, -1]]
    assert set(table.traits) == {"sex"}
    meant = {"ignore": "is not known", "positive": "is taken for 1", "negative": "is taken for 0"}[uncertain]
    assert any(f"-1 (uncertain) {meant} in every split (2 cells of 'mass')" in note for note in table.notes)
    assert table.take([2]).texts == ["edema|?mass"]


@pytest.mark.parametrize("name", ["mass|x", "?mass"])
def test_the_name_of_a_column_that_would_be_read_as_something_else_is_refused(tmp_path, name):
    source = write(tmp_path, ("path", "edema", name), ("a.png", 1, 0), ("b.png", 0, 1), ("c.png", 1, 1))
    with pytest.raises(InputError, match="The name of a label must not hold") as raised:
        read(source)
    assert repr(name) in str(raised.value)


def test_one_column_with_separators_is_recognised_or_asked_for(tmp_path):
    rows = ("a.png", "Edema|Effusion"), ("b.png", "No Finding"), ("c.png", "Effusion")
    table = read(write(tmp_path, ("path", "label"), *rows))
    assert (table.classes, table.labels.tolist()) == (("Edema", "Effusion"), [[1, 1], [0, 0], [0, 1]])
    assert not any("exactly one label" in note for note in table.notes)
    one = open_source(write(tmp_path, ("path", "label"), ("a.png", "Edema"), ("b.png", "Mass")), Layout(several=True))
    assert one.labels.tolist() == [[1, 0], [0, 1]]
    assert "Every image has exactly one label." in one.notes[-1]
    write(tmp_path, ("path", "label"), *rows)
    layout = Images("x").layout
    assert not have_several(["left|right", "both"], layout)
    single = open_source(tmp_path / "list.csv", type(layout)(several=False))
    assert single.classes == ("Edema|Effusion", "Effusion", "No Finding")


def test_a_medmnist_file_of_several_labels(tmp_path):
    labels = {
        f"{split}_labels": np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0]] * n) for split, n in (("train", 4), ("val", 1))
    }
    file, _ = archive(tmp_path, **labels, test_labels=np.array([[0, 0, 1]] * 4))
    table = open_source(file)
    assert table.classes == ("0", "1", "2")
    assert table.labels[[path.startswith("test/") for path in table.paths]].tolist() == [[0, 0, 1]] * 4


@pytest.mark.parametrize(
    ("header", "rows", "settings", "said"),
    [
        (("path", *NAMES), [("a.png", "yes", 1), ("b.png", 0, 1)], {}, "edema='yes' (line 2)"),
        (("path", *NAMES), [("a.png", "", "nan"), ("b.png", 0, 1)], {}, "nothing known of 2 (line 2)"),
        (("path", "edema"), [("a.png", 1), ("b.png", 0)], {}, "`data.label_columns` must name columns"),
        (("path", *NAMES, "split"), [("a.png", 1, 0, "train"), ("b.png", 0, 1, "")], {}, "A split must be given"),
        (("path", "label"), [("a.png", "x|y"), ("b.png", "y|"), ("c.png", "y")], {"label_columns": None}, "'y|'"),
        (
            ("path", "label"),
            [("a.png", "x|y"), ("b.png", "y"), ("c.png", ""), ("d.png", "nan")],
            {"label_columns": None},
            "write 'No Finding' for an image that has none of them, and `?LABEL` for one that is not known; leave out "
            "rows of which no label is known. Received: label='' (line 4), label='nan' (line 5).",
        ),
    ],
)
def test_what_gives_no_labels_is_named(tmp_path, header, rows, settings, said):
    with pytest.raises(InputError) as error:
        read(write(tmp_path, header, *rows), **{"label_columns": NAMES, **settings})
    assert said in str(error.value)


def test_labels_that_are_constant_in_a_split_are_named(tmp_path):
    rows = [(f"{i}.png", i % 2, int(i < 2), "train" if i < 6 else "test") for i in range(9)]
    file = write(tmp_path, ("path", *NAMES, "split"), *rows)
    table = read(file, label_columns=NAMES)
    warnings = load(table, (16, 16), (0.5, 0.25, 0.25)).warnings
    assert "In test 'mass' is never 1 where known; what needs both values is not measured." in warnings


def make_vectors(n, per_group=1, rare=5):
    random = np.random.default_rng(n)
    labels = (random.random((n, 3)) < (0.5, 0.15, 0.0)).astype(int)
    labels[:: n // rare, 2] = 1  # a rare one, of as many groups
    groups = None if per_group == 1 else tuple(f"g{i // per_group}" for i in range(n))
    paths = tuple(f"{i:04}.png" for i in range(n))
    return Table("x", paths, labels, ("edema", "mass", "rare"), groups, None, None)


@pytest.mark.parametrize(("n", "per_group"), [(200, 1), (400, 4)])
def test_folds_test_each_image_once_and_have_their_share_of_each_label(n, per_group):
    table, scheme = make_vectors(n, per_group), KFold(k=5, repeats=2)
    digests = [str(i) for i in range(n)]
    rarer = np.where(table.labels.mean(axis=0) > 0.5, 1 - table.labels, table.labels)  # these are divided
    found = [assign_splits(table, digests, replace(scheme, fold=fold), 0)[0] for fold in range(1, 11)]
    for repeat in (found[:5], found[5:]):
        tested = np.stack([splits == "test" for splits in repeat])
        assert (tested.sum(axis=0) == 1).all()
        held = tested.astype(int) @ table.labels
        assert (held >= 1).all()  # the rare one, too
        assert np.ptp(tested.astype(int) @ rarer, axis=0).max() <= 1 + per_group
    assert not np.array_equal(found[0], found[5])
    for splits in found:
        assert set(splits) == {"train", "val", "test"}
        if table.groups:
            assert len(set(zip(table.groups, splits, strict=True))) == len(set(table.groups))
    counts = count_folds(table, digests, scheme, 0)
    assert counts["test"] == [int((splits == "test").sum()) for splits in found]


def test_folds_need_as_many_groups_as_there_are_folds():
    table = make_vectors(24, 6, rare=2)
    assert find_scheme_faults(table, KFold(k=4)) == []
    fault = find_scheme_faults(table, KFold(k=5))[0]
    assert "train, val and test of every fold: 5 separate groups or more" in fault
    assert "24 images in 4 of them" in fault
    with pytest.raises(InputError, match="5 separate groups or more"):
        assign_splits(table, [str(i) for i in range(24)], KFold(k=5, fold=1), 0)
    with pytest.raises(InputError, match=r"more separate groups, or larger shares .* in 4 of them, none for val\."):
        assign_splits(table, [str(i) for i in range(24)], KFold(k=2, fold=1, val=0.01), 0)


def test_columns_of_0_and_1_are_taken_for_labels_where_no_column_is_called_so(tmp_path):
    header = ("path", "edema", "mass", "sex", "age", "No Finding", "fold", "patient")
    rows = [(f"{i}.png", i % 2, ("", -1, 1, 0)[i % 4], i // 2 % 2, 40 + i, 0, i % 2, f"p{i}") for i in range(8)]
    table = read(write(tmp_path, header, *rows))
    assert table.classes == ("edema", "mass")
    assert table.labels[:4].tolist() == [[0, -1], [1, -1], [0, 1], [1, 0]]
    assert {"sex", "No Finding", "fold"} <= set(table.traits)
    assert "the columns 'edema' and 'mass', which hold 0 and 1, are taken for labels" in " ".join(table.notes)
    # Somebody else named what the labels are, or says that there is one.
    named = read(tmp_path / "list.csv", label_columns=("mass", "edema"))
    assert (named.classes, "taken for labels" in " ".join(named.notes)) == (("mass", "edema"), False)
    with pytest.raises(InputError, match="must have the column 'label'"):
        open_source(tmp_path / "list.csv", replace(Images("x").layout, several=False))
    # One such column is no sign of several labels, and a table with labels has what it needs.
    write(tmp_path, ("path", "edema", "sex"), *[(f"{i}.png", i % 2, i % 2) for i in range(4)])
    with pytest.raises(InputError, match="must have the column 'label'"):
        read(tmp_path / "list.csv")
    write(tmp_path, ("path", "label", "edema", "mass"), *[(f"{i}.png", "ab"[i % 2], i % 2, 0) for i in range(4)])
    assert read(tmp_path / "list.csv").classes == ("a", "b")


def deviate(labels, parts, fractions):
    """Return the largest distance of a label's number in a part from its share."""
    return max(
        abs((labels[parts == part] == 1).sum(axis=0) - share * (labels == 1).sum(axis=0)).max()
        for part, share in enumerate(fractions)
    )


OF_A_RUN = Layout(several=True, vocabulary=("edema", "mass", "nodule"))


@pytest.mark.parametrize("own", [None, ("edema", "mass", "nodule")])
def test_another_table_names_labels_of_a_run_in_either_form(tmp_path, own):
    layout = replace(OF_A_RUN, label_columns=own).for_another(alike=True)
    for i in range(3):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    table = tmp_path / "other.csv"
    table.write_text("path,label\n0.png,mass|rib\n1.png,No Finding\n2.png,edema|?mass\n")
    found = open_source(table, layout)
    assert found.classes == ("edema", "mass", "nodule")
    assert found.labels.tolist() == [[0, 1, -1], [0, 0, -1], [1, -1, -1]]
    assert f"Labels of the run that data={table} does not have are not known there: 'nodule'." in found.notes
    assert f"Labels of data={table} that the run does not have are left out: 'rib'." in found.notes
    table.write_text("path,mass,nodule,rib,age\n0.png,1,0,1,61\n1.png,0,,0,9\n2.png,-1,1,,5\n")
    found = open_source(table, layout)
    assert found.labels.tolist() == [[-1, 1, 0], [-1, 0, -1], [-1, -1, 1]]
    assert "'rib' holds 0 and 1, and is no label of the run." in found.notes
    assert set(found.traits) == {"rib", "age"}
    table.write_text("path,label\n0.png,rib\n1.png,No Finding\n2.png,masss\n")
    with pytest.raises(InputError, match=r"must have labels of the run.*Did you mean 'mass'"):
        open_source(table, layout)


def test_each_part_has_its_share_of_each_label_and_rare_ones_are_everywhere():
    random = np.random.default_rng(0)
    labels = (random.random((600, 6)) < [0.5, 0.3, 0.9, 0.1, 0.02, 0.0]).astype(int)
    labels[:, 5] = 0
    labels[:3, 5] = 1
    labels[random.random(labels.shape) < 0.1] = -1
    labels[:3, 5] = 1
    fractions = (0.7, 0.15, 0.15)
    parts = split_vectors(labels, np.arange(600), fractions, seed=3)
    assert deviate(labels[:, [0, 1, 3, 4]], parts, fractions) <= 4
    assert sorted(parts[:3]) == [0, 1, 2]  # the label of three images is in each part
    assert np.abs(np.bincount(parts) - 600 * np.array(fractions)).max() <= 6
    np.testing.assert_array_equal(parts, split_vectors(labels, np.arange(600), fractions, seed=3))
    assert (parts != split_vectors(labels, np.arange(600), fractions, seed=4)).any()


def test_units_stay_together_and_come_near_to_their_shares():
    random = np.random.default_rng(1)
    units = np.sort(random.integers(0, 150, 500))
    units = np.unique(units, return_inverse=True)[1]
    labels = (random.random((500, 4)) < [0.4, 0.2, 0.1, 0.05]).astype(int)
    fractions = (0.6, 0.2, 0.2)
    parts = split_vectors(labels, units, fractions, seed=0)
    assert all(len(set(parts[units == unit])) == 1 for unit in range(units.max() + 1))
    assert deviate(labels, parts, fractions) <= 6
