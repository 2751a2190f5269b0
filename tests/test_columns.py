"""The patient's column is found, whatever it is called; one that nobody named is asked for, never passed over."""

import numpy as np
import pytest

from tests.data.test_data_sources import listing, write
from tlmed.columns import (
    BY_NAME,
    Grouping,
    describe_group,
    describe_traits,
    find_group,
    is_group,
    name_spellings,
    suggest_spelling,
)
from tlmed.data import load, open_source, read_files
from tlmed.errors import InputError
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.inference.rescoring import evaluate
from tlmed.patient_columns import is_identifier
from tlmed.source_layout import Layout

PEOPLE = [f"P{number:03}" for number in range(27)]


@pytest.mark.parametrize(
    "name",
    ["group", "Group", "patient", "Patient_ID", "patient id", "PatientID", "patient-id", "subject", "Case", "MRN"],
)
def test_usual_names_are_groups(name):
    assert is_group(name)
    assert find_group({"age": ["1", "2"], name: ["a", "a"]}, Grouping(), "x") == name


@pytest.mark.parametrize(
    ("name", "values", "looks"),
    [
        ("who", PEOPLE * 2, True),
        ("pid", [str(number) for number in range(27)] * 2, True),
        ("who", [str(number) for number in range(27)] * 2, True),
        ("volume_mm3", [str(number) for number in range(27)] * 2, False),
        ("study_id", [str(number) for number in range(10)] * 3, True),
        ("hospital number", [f"{number:05}" for number in range(27)] * 2, True),
        ("surname", [chr(97 + number) * 5 for number in range(20)] * 3, True),
        ("image_id", [f"I{number}" for number in range(54)], False),
        ("age", [str(number) for number in range(30, 57)] * 2, False),
        ("age", [f"{number:03}Y" for number in range(30, 57)] * 2, False),
        ("weight", [f"{number}.5" for number in range(27)] * 2, False),
        ("date", [f"2020-01-{number:02}" for number in range(1, 28)] * 2, False),
        ("sex", ["f", "m"] * 27, False),
        ("scanner_id", ["A1", "B2", "C3"] * 18, False),
        ("device", ["GE-1", "SIEMENS-2", "P3"] * 18, False),
        ("empty", [""] * 54, False),
        ("patient_name", ["Ann", "Bea", "Cid"] * 18, True),
        ("patient_sex", ["f", "m"] * 27, False),
        ("who", [f"2021-{number:04}" for number in range(27)] * 2, True),
        ("who", [f"{number}/2021" for number in range(27)] * 2, True),
        ("who", [f"{number}.0" for number in range(1001, 1028)] * 2, True),
        ("who", [f"-{number}" for number in range(10, 37)] * 2, True),
        ("who", [f"{number}.0e+09" for number in range(1, 28)] * 2, True),
        ("who", ["2021-0100"] + [f"2021-{number:04}" for number in range(27)] * 2, True),  # one has a single image
        ("who", ["412-03-1000"] + [f"412-03-{number:04}" for number in range(27)] * 2, True),
        ("who", ["1.2.840.10008.7"] + [f"1.2.840.10008.{number}" for number in range(8, 35)] * 2, True),
        ("pressure", ["120/80"] + [f"{number}/100" for number in range(130, 157)] * 2, False),
        ("who", ["120-180"] + [f"{number}-200" for number in range(130, 157)] * 2, False),
        ("length", ["2021-0100"] + [f"2021-{number:04}" for number in range(27)] * 2, False),
        (
            "who",
            ["1/21"] + [f"{number}/21" for number in range(2, 28)] * 2,
            False,
        ),
        ("marker", [f"{number}.34" for number in range(27)] * 2, False),
        ("scanned", [f"{number:02}.01.2020" for number in range(1, 28)] * 2, False),
        ("Alter", [str(number) for number in range(30, 57)] * 2, False),
        ("PatientAge", [str(number) for number in range(30, 57)] * 2, False),
        ("Größe (cm)", [str(number) for number in range(130, 157)] * 2, False),
        ("edad", [f"{number}.0" for number in range(30, 57)] * 2, False),
        ("temperature_level", [f"-{number}" for number in range(10, 37)] * 2, False),
        ("site", ["Bonn", "Ulm", "Köln"] * 18, False),
        ("hospital_id", ["1", "2", "3"] * 18, False),
        ("ID", ["unique"] * 54, False),
    ],
)
def test_a_column_looks_like_an_identifier_by_its_values_and_its_name(name, values, looks):
    assert is_identifier(name, values) is looks


@pytest.mark.parametrize(
    "form", ["{}", "P{:02}", "2021-{:04}", "{}/2021", "{}.0", "{}.34", "-{}", "{}.0e+09", "{:02}.01.1950"]
)
@pytest.mark.parametrize(
    "name",
    ["Patientennummer", "PatID", "Pat_ID", "Patient Nr.", "Fallnummer", "ID", "paciente", "numero_patient", "MRN2"],
)
@pytest.mark.parametrize("amount", [4, 27])
def test_a_column_whose_name_says_patient_is_asked_for_whatever_its_values(name, form, amount):
    values = [form.format(number + 1) for number in range(amount)] * 10
    for beside in ({}, {"case": [str(number) for number in range(len(values))]}):
        with pytest.raises(InputError, match="looks like an identifier must be named"):
            find_group({**beside, name: values}, Grouping(), "x")


def test_an_identifier_is_seen_although_some_values_are_missing():
    with pytest.raises(InputError, match="'who'"):
        find_group({"who": ["NA", "unknown", *PEOPLE, *PEOPLE]}, Grouping(), "x")


@pytest.mark.parametrize(
    "name",
    [
        "num_patients",
        "patient_age",
        "patient_label",
        "hospital_name",
        "fall",
        "animal",
        "image_id",
        "PT",
        "subject_group",
    ],
)
def test_a_name_that_may_mean_another_thing_is_not_asked_for(name):
    assert find_group({name: ["1", "2", "3"] * 18}, Grouping(), "x") is None


def test_an_identifier_that_nobody_named_is_asked_for():
    with pytest.raises(InputError, match=r"`--group COLUMN`.*`--no-groups`.*'who' \(27 values in 54 images\)"):
        find_group({"who": PEOPLE * 2}, Grouping(), "list.csv")
    assert find_group({"who": PEOPLE * 2}, Grouping("who"), "list.csv") == "who"
    assert find_group({"who": PEOPLE * 2}, Grouping(use=False), "list.csv") is None
    assert find_group({"who": PEOPLE * 2, "patient": PEOPLE * 2}, Grouping(), "list.csv") == "patient"


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'patiens'"):
        find_group({"patiens": PEOPLE}, Grouping("patient"), "list.csv")


def test_of_several_columns_the_one_that_holds_the_others_whole():
    columns = {"case": ["c1", "c2", "c3", "c4"], "patient": ["a", "a", "b", "b"]}
    assert find_group(columns, Grouping(), "x") == "patient"
    with pytest.raises(InputError, match="'group' and 'patient', which divide the images differently"):
        find_group({"group": ["1", "2", "1", "2"], "patient": ["a", "a", "b", "b"]}, Grouping(), "x")


RUNNING = [str(number) for number in range(54)]
VISITS = [f"V{number}" for number in range(27) for _ in range(2)]
OWNERS = [PEOPLE[number // 6] for number in range(54)]  # three visits each


@pytest.mark.parametrize("name", ["case", "patient_id", "group"])
def test_a_running_number_does_not_keep_another_column_from_being_asked_for(name):
    with pytest.raises(InputError, match=f"'patient_name' .9 values in 54 images.; no value of '{name}' repeats"):
        find_group({name: RUNNING, "patient_name": OWNERS}, Grouping(), "x")
    assert find_group({name: RUNNING, "patient_name": OWNERS}, Grouping(name), "x") == name
    assert find_group({name: RUNNING, "patient_name": OWNERS}, Grouping("patient_name"), "x") == "patient_name"


def test_of_usual_names_the_one_whose_values_repeat():
    assert find_group({"case": RUNNING, "subject": OWNERS}, Grouping(), "x") == "subject"
    assert find_group({"case": ["", *RUNNING[1:]], "subject": VISITS, "mrn": OWNERS}, Grouping(), "x") == "mrn"
    spelled = [value for number in range(27) for value in (f"P{number}", f"p 0{number}")]
    assert find_group({"case": RUNNING, "subject": spelled}, Grouping(), "x") == "subject"


def test_a_case_that_another_identifier_does_not_lie_in_is_asked_for():
    with pytest.raises(InputError, match=r"'patient_name' .* beside 'case', which divides the images differently"):
        find_group({"case": VISITS, "patient_name": OWNERS}, Grouping(), "x")
    assert find_group({"case": OWNERS, "exam_id": VISITS}, Grouping(), "x") == "case"


def test_what_is_taken_is_told_with_what_could_be():
    def tell(columns, grouping=BY_NAME):
        return describe_group(find_group(columns, grouping, "x"), columns, grouping)

    assert tell({"sex": ["f", "m"] * 27}) == ()
    assert tell({"group": OWNERS}) == ()
    assert tell({"patient": OWNERS, "exam_id": VISITS}) == ("The column 'patient' names the groups.",)
    alone = "The column 'case' names the groups. No value of it repeats: each row is a group of its own."
    assert tell({"case": RUNNING}) == (alone,)
    [said] = describe_group("case", {"case": RUNNING}, BY_NAME, "feature")
    assert said == "The feature 'case' names the groups. No value of it repeats: each image is a group of its own."
    [said] = tell({"patient": VISITS, "person": [f"{owner}x" for owner in PEOPLE[:18] for _ in range(3)]})
    assert said.endswith(
        "'person' (18 values in 54 images) looks like an identifier too, and divides the images "
        "differently: `--group COLUMN` takes another."
    )
    assert tell({"patient": VISITS, "who": OWNERS}, Grouping("patient")) == ("The column 'patient' names the groups.",)


def test_a_column_that_is_not_used_because_groups_are_switched_off_is_told():
    off = Grouping(use=False)
    assert describe_group(None, {"sex": ["f", "m"] * 27, "case": RUNNING}, off) == ()
    unused = "the column 'patient' (9 values in 54 images) is not used."
    assert describe_group(None, {"patient": OWNERS}, off) == (f"Groups are switched off: {unused}",)
    [said] = describe_group(None, {"patient": OWNERS, "who": VISITS}, off, "feature")
    assert "the features 'patient' (9 values in 54 images), 'who' (27 values in 54 images) are not used." in said


@pytest.mark.parametrize("value", ["0", "-1", "999", "X"])
@pytest.mark.parametrize("name", ["group", "patient"])
def test_many_images_of_a_patient_who_may_be_none_are_told(name, value):
    *_, said = describe_group(name, {name: [value] * 6 + VISITS}, BY_NAME)
    assert said.startswith(f"6 of 60 images have {value!r} in {name!r} and count as one group")
    for honest in ([value] * 2 + VISITS, ["P0"] * 20 + VISITS, [value] * 9 + OWNERS, [value] * 60):
        assert not any("count as one" in told for told in describe_group(name, {name: honest}, BY_NAME))


def test_spellings_are_named():
    [said] = name_spellings(["P001", "p001", "P 001", "P002"])
    assert "'P 001', 'P001' and 'p001'" in said


@pytest.fixture
def patients(tmp_path):
    """Give a folder of 54 images, two of each patient."""
    return write(tmp_path, *(f"{number}.png" for number in range(54)))


def rows(header, column=None):
    lines = [f"{number}.png,{'ab'[number % 2]},{column(number) if column else ''}" for number in range(54)]
    return "\n".join([header, *lines]) + "\n"


@pytest.mark.parametrize("header", ["path,label,patient_id", "path,label,Patient ID", "path,label,MRN"])
def test_images_of_one_patient_share_a_split_whatever_the_column_is_called(patients, header):
    table_file = listing(patients, rows(header, lambda number: f" {PEOPLE[number // 2]} "))
    images = load(table_file, (4, 4))
    assert set(images.table.groups) == set(PEOPLE), "values are stripped"
    for person in PEOPLE:
        mine = [row for row, group in enumerate(images.table.groups) if group == person]
        assert len(set(images.splits[mine])) == 1
    assert any("names the groups" in sentence for sentence in images.warnings)
    assert not images.table.traits


def test_no_patient_is_in_two_splits_where_images_are_numbered_under_a_usual_name(patients):
    lines = [f"{number}.png,{'ab'[number % 2]},{number},Name{PEOPLE[number // 2]}" for number in range(54)]
    file = listing(patients, "\n".join(["path,label,case,patient_name", *lines]) + "\n")
    with pytest.raises(InputError, match=r"'patient_name' \(27 values in 54 images\); no value of 'case' repeats"):
        load(file, (4, 4))
    images = load(open_source(file, Layout(Grouping("patient_name"))), (4, 4))
    assert len(set(zip(images.table.groups, images.splits, strict=True))) == 27


def test_the_recipe_can_name_the_column(patients):
    file = listing(patients, rows("path,label,who", lambda number: PEOPLE[number // 2]))
    with pytest.raises(InputError, match="looks like an identifier"):
        open_source(file)
    assert set(open_source(file, Layout(Grouping("who"))).groups) == set(PEOPLE)
    alone = open_source(file, Layout(Grouping(use=False)))
    assert alone.groups is None
    assert any("the column 'who' (27 values in 54 images) is not used" in note for note in alone.notes)
    with pytest.raises(InputError, match="a source that has columns"):
        open_source(patients, Layout(Grouping("who")))


def test_an_empty_column_of_splits_gives_no_splits(patients):
    file = listing(patients, rows("path,label,split,patient").replace(",\n", ",,p\n"))
    assert open_source(file).splits is None


def test_splits_that_some_rows_lack_are_one_line(patients):
    text = rows("path,label,split", lambda number: ["train", "test", ""][number % 3])
    with pytest.raises(InputError) as caught:
        open_source(listing(patients, text))
    [fault] = caught.value.faults
    assert "in every row, or in none" in fault
    assert fault.endswith("split='' (line 4), split='' (line 7), split='' (line 10) and 15 more.")


def test_a_misspelt_split_suggests_the_right_one(patients):
    text = rows("path,label,split", lambda number: ["train", "tset", "test"][number % 3])
    with pytest.raises(InputError, match="Did you mean 'test'"):
        open_source(listing(patients, text))


@pytest.mark.parametrize("column", ["patient_id", "Case", "group"])
def test_intervals_of_a_file_of_predictions_are_by_the_patient(tmp_path, column):
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(20) % 2, 5)
    scores = np.repeat(random.normal(size=20), 5) / 4 + truth * 0.2 + random.normal(size=100) / 20
    scores = 1 / (1 + np.exp(-scores))
    lines = [
        f"{i}.png,{'ab'[t]},{1 - float(s)!r},{float(s)!r}, p{i // 5}"
        for i, (t, s) in enumerate(zip(truth, scores, strict=True))
    ]
    file = tmp_path / "predictions.csv"
    file.write_text("\n".join([f"path,label,score_a,score_b,{column}", *lines]))
    assert set(read_predictions(file).groups) == {f"p{number}" for number in range(20)}
    widths = []
    for grouping in (None, Grouping(use=False)):
        _, result = evaluate(None, file=file, grouping=grouping)
        widths.append(result["metrics"]["auc"]["high"] - result["metrics"]["auc"]["low"])
    assert widths[0] > 1.3 * widths[1]


def test_predictions_ask_for_the_patients_beside_a_running_number(tmp_path):
    lines = [f"{i},{'ab'[i % 2]},0.4,0.6,{i},Name{PEOPLE[i // 2]}" for i in range(54)]
    (tmp_path / "p.csv").write_text("\n".join(["path,label,score_a,score_b,case,patient_name", *lines]))
    with pytest.raises(InputError, match=r"'patient_name' \(27 values in 54 images\); no value of 'case' repeats"):
        read_predictions(tmp_path / "p.csv")
    assert len(set(read_predictions(tmp_path / "p.csv", Grouping("patient_name")).groups)) == 27


@pytest.mark.parametrize("missing", ["", "NA", "n/a", "unknown", "-", "Unbekannt", "anonymous"])
def test_a_value_that_says_nothing_is_no_patient(patients, missing):
    text = rows("path,label,patient", lambda number: missing if number % 4 == 0 else PEOPLE[number // 2])
    with pytest.raises(InputError, match="every row must name its group"):
        open_source(listing(patients, text))


@pytest.mark.parametrize("missing", ["", "NA", " nan "])
def test_a_row_of_predictions_without_a_patient_is_refused_as_in_training(tmp_path, missing):
    file = tmp_path / "p.csv"
    lines = [f"{i},{'ab'[i % 2]},0.4,0.6,{missing if i % 3 == 0 else f'p{i // 2}'}" for i in range(30)]
    file.write_text("\n".join(["path,label,score_a,score_b,patient_id", *lines]))
    with pytest.raises(InputError) as caught:
        evaluate(None, file=file)
    (fault,) = caught.value.faults
    assert fault == (
        "Where the column 'patient_id' names the groups, every row must name its group. "
        f"Received: {file}, lines 2, 5, 8 and 7 more."
    )
    _, result = evaluate(None, file=file, grouping=Grouping(use=False))
    [said] = [note for note in result["evaluated"]["warnings"] if note.startswith("Groups are switched off")]
    assert "'patient_id'" in said


def test_a_column_of_patients_that_is_empty_throughout_is_none(tmp_path):
    file = tmp_path / "p.csv"
    file.write_text("path,label,score_a,score_b,patient_id\n1,a,0.6,0.4,\n2,b,0.4,0.6, \n")
    assert read_predictions(file).groups is None


def test_grades_are_in_the_order_of_numbers(patients, tmp_path):
    text = "path,label\n" + "".join(f"{number}.png,{number % 12}\n" for number in range(54))
    table = open_source(listing(patients, text))
    assert table.classes == tuple(map(str, range(12)))
    header = ",".join(f"score_{name}" for name in sorted(map(str, range(12))))
    scores = ",".join("1" if name == "10" else "0" for name in sorted(map(str, range(12))))
    (tmp_path / "p.csv").write_text(f"path,label,{header}\na,9,{scores}\n")
    read = read_predictions(tmp_path / "p.csv")
    assert read.classes == table.classes
    assert (read.labels.tolist(), read.predictions.tolist()) == ([9], [10])


def test_classes_that_differ_in_case_are_named(tmp_path):
    write(tmp_path, *(f"{name}/{n}.png" for name in ("Normal", "normal", "ill") for n in range(6)))
    assert any("Names of classes differ only in case" in sentence for sentence in load(tmp_path, (4, 4)).warnings)


def test_subgroups_that_differ_in_spelling_only_are_named(patients):
    sexes = ["M", "f", "m", "F", "m ", "male", "m ale"]
    images = load(listing(patients, rows("path,label,sex", lambda number: sexes[number % 7])), (4, 4))
    said = "Values of 'sex' differ only in case or spaces, and count as different subgroups: "
    assert f"{said}'F' and 'f', 'M' and 'm', 'm ale' and 'male'." in images.warnings
    assert describe_traits({"sex": ["M", "f", "u"], "note": [f"{n}{end}" for n in range(13) for end in "aA"]}) == ()


def test_subgroups_and_classes_of_predictions_that_differ_in_spelling_only_are_named(tmp_path):
    lines = [f"{i},{['a', 'A'][i % 2]},0.4,0.6,{['M', 'f', 'm'][i % 3]}" for i in range(30)]
    (tmp_path / "p.csv").write_text("\n".join(["path,label,score_a,score_A,sex", *lines]))
    notes = read_predictions(tmp_path / "p.csv").notes
    assert "Names of classes differ only in case or spaces, and count as different classes: 'A' and 'a'." in notes
    assert "Values of 'sex' differ only in case or spaces, and count as different subgroups: 'M' and 'm'." in notes


def test_groups_of_scored_rows_that_other_splits_have_are_counted(tmp_path):
    lines = ["a,train,a,0.9,0.1,p1", "b,test,b,0.1,0.9,p1", "c,test,a,0.8,0.2,p2", "d,test,b,0.3,0.7,p3"]
    (tmp_path / "p.csv").write_text("path,split,label,score_a,score_b,patient\n" + "\n".join(lines))
    _, result = evaluate(None, file=tmp_path / "p.csv")
    assert any(
        note.startswith("1 row of 'test' has rows of the same group in other splits")
        for note in result["evaluated"]["warnings"]
    )


def test_what_predict_passes_over_in_a_folder_is_told(tmp_path):
    write(tmp_path, "a.png")
    for name in ("b.webp", "c.mhd", "NOEXT"):
        (tmp_path / name).write_bytes(b"x")
    names, _, left_out = read_files([tmp_path], (4, 4))
    assert len(names) == 1
    [(named, why)] = left_out
    assert named == f"3 files of {tmp_path}"
    assert why.startswith("3 not images (NOEXT, b.webp, c.mhd); 1 WebP file: tlmed does not read WebP:")
    assert "; 1 volume: tlmed does not read volumes of this format" in why


def test_hidden_files_that_predict_passes_over_are_told(tmp_path):
    write(tmp_path, "a.png", ".b.png", "sub/._c.png", "sub/.d/e.png")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    names, _, left_out = read_files([tmp_path], (4, 4))
    assert len(names) == 1
    said = "4 hidden, by the dot before their names (.DS_Store, .b.png, sub/._c.png and 1 more)"
    assert left_out == [(f"4 files of {tmp_path}", said)]
    assert read_files([tmp_path / ".b.png"], (4, 4))[0] == [str(tmp_path / ".b.png")]  # who names it means it


@pytest.mark.parametrize(
    ("names", "way"),
    [
        (["M\xe9", "Me\u0301"], "Unicode form"),
        (["007", "7"], "how a number is written"),
        (["1.0", "1", "+1"], "how a number is written"),
        (["0", "00"], "how a number is written"),
        (["P-007", "P-7"], "how a number is written"),
        (["nih00000116", "NIH116"], "case, spaces or how a number is written"),
        (["1.05", "1.5", "0.5", "0.05", "x1.05", "x1.5"], None),
        (["a b", "A  B"], "case or spaces"),
        (["-1", "1"], None),
        (["1.5", "1", "10", "100", "", "-"], None),
        (["9" * 5000, "8" * 5000], None),
    ],
)
def test_ways_of_spelling_are_told_apart(names, way):
    said = name_spellings(names)
    assert len(said) == (way is not None)
    assert all(f"differ only in {way}" in sentence for sentence in said)
    assert bool(suggest_spelling(names[0], names[1:])) == bool(said)


def test_numbers_as_dicom_writes_them_are_numbers():
    [said] = name_spellings(["1", "001.000000E+00", "1.000000", "2"], "subgroups", "Values of 'slope'")
    assert said.startswith("Values of 'slope' differ only in how a number is written")
    assert "'001.000000E+00'" in said
    assert not name_spellings(["12E3", "12000", "0e123", "0e456"])  # identifiers
