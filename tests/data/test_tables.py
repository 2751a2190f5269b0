"""Tables as people have them, classes made of several labels, and folders of patients."""

import pytest
from click.testing import CliRunner

from tests.data.test_data_sources import faults, listing, write
from tlmed.cli import cli
from tlmed.columns import Grouping
from tlmed.data import load, open_source
from tlmed.errors import InputError
from tlmed.recipe import Images, Recipe, from_json, load_recipe, override, to_json
from tlmed.recipe.source import to_source
from tlmed.source_layout import Layout

CLASSES = {"ill": ("1", "2"), "well": ("0",)}


def labels(table):
    return [table.classes[label] for label in table.labels]


def images(**fields):
    return Images("list.csv", **fields)


# Columns and separators


@pytest.mark.parametrize(
    ("text", "name", "layout", "told"),
    [
        (
            "path\tlabel, final\n",
            "x.tsv",
            Layout(label="label, final"),
            ["Of the table, columns are separated by tabs."],
        ),
        ("Image|Diagnosis\n", "x.txt", Layout(), ["'Image' is", "'Diagnosis' is", "vertical bars"]),
        ("path;dx\n", "x.csv", Layout(delimiter=";"), ["'dx' is taken for 'label'"]),
        ("path,label,file,target\n", "x.csv", Layout(path="file", label="target"), []),
        ("Path,LABEL,file,target\n", "x.csv", Layout(), ["'Path' is taken", "'LABEL' is taken for 'label'"]),
        ("Path,LABEL\n", "x.csv", Layout(), ["'Path' is taken for 'path'", "'LABEL' is taken for 'label'"]),
    ],
)
def test_columns_are_found_by_name_or_as_the_user_says(tmp_path, text, name, layout, told):
    write(tmp_path, "1.png", "2.png")
    mark = next(mark for mark in "\t|;," if mark in text)
    rows = [("1.png", "a", "1.png", "x"), ("2.png", "b", "2.png", "y")]
    width = text.count(mark) + 1
    table = open_source(listing(tmp_path, text + "".join(f"{mark.join(row[:width])}\n" for row in rows), name), layout)
    assert table.paths == ("1.png", "2.png")
    assert labels(table) == (["x", "y"] if layout.label == "target" else ["a", "b"])
    assert len(table.notes) == min(len(told), 1)
    assert all(words in table.notes[0] for words in told)


def test_columns_that_another_name_replaces_are_traits(tmp_path):
    write(tmp_path, "1.png", "2.png")
    file = listing(tmp_path, "path,label,subtype\n1.png,a,x\n2.png,b,y\n")
    assert open_source(file, Layout(label="subtype")).traits == {"label": ("a", "b")}


def test_a_split_column_of_any_name(tmp_path):
    write(tmp_path, "1.png", "2.png", "3.png", "4.png")
    text = "path,label,{}\n1.png,a,train\n2.png,b,train\n3.png,a,test\n4.png,b,test\n"
    file = listing(tmp_path, text.format("partition"))
    assert open_source(file).splits is None
    with pytest.raises(InputError, match=r"`data\.split_column='partition'` takes it as it is"):
        load(file, (4, 4))
    assert open_source(file, Layout(split="partition")).splits == ("train", "train", "test", "test")
    found = open_source(listing(tmp_path, text.format("Split")))
    assert (found.splits[0], found.notes) == ("train", ("Of the table, the column 'Split' is taken for 'split'.",))


@pytest.mark.parametrize(
    ("text", "layout", "expected"),
    [
        ("path,dx\n", Layout(label="dxx"), ["`data.label_column` must name a column. Did you mean 'dx'?"]),
        ("image,file,label\n", Layout(), ["`data.path_column` says which", "'image' and 'file'"]),
        ("path,target,class\n", Layout(), ["`data.label_column` says which"]),
        ("path,label\n", Layout(path="a", split="b"), ["`data.path_column`", "`data.split_column`"]),
    ],
)
def test_columns_that_are_missing_or_not_clear(tmp_path, text, layout, expected):
    with pytest.raises(InputError) as error:
        open_source(listing(tmp_path, text), layout)
    assert all(words in str(error.value) for words in expected), str(error.value)


def test_another_source_gives_its_own_columns_where_it_lacks_those_of_the_run(tmp_path):
    write(tmp_path, "1.png", "2.png")
    layout = Layout(path="shot", label="finding").for_another(alike=True)
    assert labels(open_source(listing(tmp_path, "shot,finding,dx\n1.png,a,x\n2.png,b,y\n"), layout)) == ["a", "b"]
    assert labels(open_source(listing(tmp_path, "file,dx\n1.png,a\n2.png,b\n"), layout)) == ["a", "b"]


def test_columns_must_go_with_a_table(tmp_path):
    write(tmp_path, "a/1.png", "b/2.png")
    with pytest.raises(InputError) as error:
        open_source(tmp_path, Layout(path="shot", delimiter=";"))
    assert [fault.partition("`")[2].partition("`")[0] for fault in error.value.faults] == [
        "data.path_column",
        "data.delimiter",
    ]


def test_paths_without_an_ending_are_completed_where_one_file_has_the_name(tmp_path):
    write(tmp_path, "x/1.jpg", "x/2.JPG", "3.png", "3.jpg")
    file = listing(tmp_path, "image_id,dx\nx/1,a\n3.png,b\n")
    table = open_source(file)
    assert table.paths == ("3.png", "x/1.jpg")
    assert "1 path without an ending: 'x/1' is taken for 'x/1.jpg', and so on." in table.notes
    assert "'3' (line 3)" in faults(listing(tmp_path, "image_id,dx\nx/1,a\n3,b\n"))[0]


@pytest.mark.parametrize("start", [b"PK\x03\x04" + b"\0" * 26 + b"[Content_Types].xml\xff", b"\xd0\xcf\x11\xe0\xff"])
def test_a_spreadsheet_is_refused_with_the_cure_whatever_its_name(tmp_path, start):
    for name in ("list.xlsx", "list.csv"):
        (tmp_path / name).write_bytes(start)
        assert "save the sheet as CSV in UTF-8" in faults(tmp_path / name)[0]


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "@SUM(A1)", '"1\n.png"', "+cmd|' /C calc'!A0", "-2+3(1)"])
@pytest.mark.parametrize("column", ["path", "label", "group"])
def test_formula_cells_and_lines_in_a_cell_are_refused_by_name(tmp_path, cell, column):
    write(tmp_path, "1.png", "2.png")
    row = {"path": "1.png", "label": "a", "group": "p"} | {column: cell}
    file = listing(tmp_path, f"path,label,group\n{row['path']},{row['label']},{row['group']}\n2.png,b,q\n")
    (fault,) = faults(file)
    assert "must be one line of text and no formula" in fault
    assert ascii(cell.strip('"'))[1:-1] in fault
    assert "(line " in fault


@pytest.mark.parametrize("name", ["=cmd", "a\nb"])
def test_class_folders_with_such_names_are_refused(tmp_path, name):
    write(tmp_path, f"{name}/1.png", "b/1.png")
    assert "no formula, which a program for tables would run" in faults(tmp_path)[0]


def test_signs_are_good_labels(tmp_path):
    write(tmp_path, "1.png", "2.png")
    assert labels(open_source(listing(tmp_path, "path,label\n1.png,+\n2.png,-\n"))) == ["+", "-"]


# Classes


def test_classes_merge_rename_and_leave_out(tmp_path):
    write(tmp_path, *(f"{name}/{n}.png" for name in "0123" for n in range(int(name) + 1)))
    table = open_source(tmp_path, Layout(classes=CLASSES))
    assert table.classes == ("ill", "well")
    assert labels(table) == ["well"] + 5 * ["ill"]
    assert table.paths[0] == "0/0.png"
    assert table.notes == (
        "Classes by `data.classes`: 'ill' is '1' (2) and '2' (3); 'well' is '0' (1).",
        "Left out, as `data.classes` names none of their labels: 4 images of '3' (4).",
    )


def test_a_label_that_does_not_occur_is_refused_and_one_elsewhere_is_not(tmp_path):
    write(tmp_path, "0/1.png", "1/1.png", "ill/1.png")
    with pytest.raises(InputError, match=r"must name labels of the data\..*Received: '2' of the class 'ill'"):
        open_source(tmp_path, Layout(classes=CLASSES))
    elsewhere = open_source(tmp_path, Layout(classes=CLASSES).for_another(alike=True))
    assert labels(elsewhere) == ["well", "ill", "ill"]
    with pytest.raises(InputError, match="only the class 'well'"):
        open_source(tmp_path, Layout(classes={"sick": ("7",), "well": ("0",)}, elsewhere=True))


def test_a_label_of_test_may_be_new_where_its_class_is_not(tmp_path):
    write(tmp_path, "1.png", "2.png", "3.png", "4.png")
    file = listing(tmp_path, "path,label,split\n1.png,0,train\n2.png,1,train\n3.png,2,test\n4.png,9,test\n")
    assert "'2' (line 4)" in faults(file)[0]
    assert labels(open_source(file, Layout(classes=CLASSES))) == ["well", "ill", "ill"]


@pytest.mark.parametrize(
    "classes",
    [
        {"a": ("1",)},
        {"a": ("1",), "b": ()},
        {"a": ("1",), "b": ("1",)},
        {"a": ("1",), "": ("2",)},
        {"a": "1", "b": "2"},
        {"a": (1,), "b": (2,)},
        {"=a": ("1",), "b": ("2",)},
        ("a", "b"),
    ],
)
def test_faulty_classes(classes):
    with pytest.raises(InputError, match=r"`data.classes` must be a dictionary: the name of a class -> its labels"):
        Recipe(images(classes=classes), "MobileNetV2", phases=load_recipe("feature_extractor").phases)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"path_column": "x", "label_column": "x"}, "must name each column once. Received: 'x'"),
        ({"groups": "folder", "group_column": "x"}, "`data.group_column` must be None where folders are the patients"),
        ({"groups": "folders"}, "`data.groups` must be True, False or 'folder'"),
        ({"delimiter": ":"}, "`data.delimiter` must be one of ','"),
    ],
)
def test_faulty_fields(fields, said):
    with pytest.raises(InputError, match=said):
        Recipe(images(**fields), "MobileNetV2", phases=load_recipe("feature_extractor").phases)


@pytest.mark.parametrize(
    "settings",
    [
        ['data.classes={"ill": ("1", "2"), "well": ("0",)}'],
        ["data.classes.ill=1,2", "data.classes.well=0"],
        ["data.classes=none", 'data.classes.ill="1",2', 'data.classes={"ill": ("1", "2")}', "data.classes.well=0"],
    ],
)
def test_classes_on_the_command_line_in_json_and_as_code(settings):
    recipe = override(load_recipe("feature_extractor"), [*settings, "data.groups=folder", "data.delimiter=tab"])
    assert (recipe.data.classes, recipe.data.groups, recipe.data.layout.delimiter) == (CLASSES, "folder", "\t")
    assert from_json(to_json(recipe)) == recipe
    space = {}
    exec(to_source(recipe), space)
    assert space["recipe"] == recipe


# Folders of patients


def test_folders_below_class_folders_are_patients_only_if_the_user_says_so(tmp_path):
    write(tmp_path, "a/P1/1.png", "a/P1/series 2/2.png", "b/P1/1.png", "b/P2/1.png", "a/.x/1.png", "a/P1/notes.txt")
    (fault,) = faults(tmp_path)
    assert "`data.groups='folder'` says that the folders below are patients" in fault
    table = open_source(tmp_path, Layout(Grouping(folders=True)))
    assert table.paths == ("a/P1/1.png", "a/P1/series 2/2.png", "b/P1/1.png", "b/P2/1.png")
    assert table.groups == ("P1", "P1", "P1", "P2")
    assert (table.pseudonyms, table.skipped, table.hidden) == (False, ("a/P1/notes.txt",), ("a/.x/",))
    assert table.notes == ("Images are grouped by 2 folders below the class folders.",)


def test_folders_of_patients_within_given_splits(tmp_path):
    write(tmp_path, *(f"{split}/{name}/{split} {name}/1.png" for split in ("train", "test") for name in "ab"))
    table = open_source(tmp_path, Layout(Grouping(folders=True)))
    assert table.groups == ("test a", "test b", "train a", "train b")
    assert table.splits == ("test", "test", "train", "train")


def test_images_without_a_patient_are_refused_where_folders_are_patients(tmp_path):
    write(tmp_path, "a/P1/1.png", "a/2.png", "b/unknown/1.png")
    with pytest.raises(InputError) as error:
        open_source(tmp_path, Layout(Grouping(folders=True)))
    assert [fault.rpartition("Received: ")[2] for fault in error.value.faults] == ["'a/2.png'.", "'b/unknown/1.png'."]


# Commands


def test_plan_reads_a_table_as_its_options_say(tmp_path):
    write(tmp_path, *(f"{name}/P{n}/{n}.png" for name in "012" for n in range(8)))
    lines = [f"{name}/P{n}/{n};{name};{name}{n}" for name in "012" for n in range(8)]
    file = listing(tmp_path, "\n".join(["shot;finding;who", *lines]))
    settings = ["data.path_column=shot", "data.label_column=finding", "data.classes.ill=1,2", "data.classes.well=0"]
    options = [word for text in (*settings, "weights=none", "data.image_size=32,32") for word in ("--set", text)]
    command = ["plan", "feature_extractor", "--data", str(file), "--no-groups", *options]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert "'ill' is '1' (8) and '2' (8); 'well' is '0' (8)." in " ".join(result.output.split())
