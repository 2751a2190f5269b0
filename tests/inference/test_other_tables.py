"""A run that named its columns and made classes of several labels reads its images, and others, in the same way."""

import shutil

import pytest

import tlmed
from tests.conftest import write_images
from tests.run.test_run import small
from tlmed import inference
from tlmed.columns import Grouping
from tlmed.errors import InputError
from tlmed.lock.file import read_lock
from tlmed.lock.input_differences import compare_inputs
from tlmed.lock.inputs import describe_inputs
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv

LABELS = ("benign", "malignant", "normal")
SETTINGS = (
    *("data.path_column=shot", "data.label_column=finding", "data.group_column=who", "data.delimiter=;"),
    *("data.classes.malignant=malignant", "data.classes.other=benign,normal", "phases.epochs=1"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = write_images(tmp_path_factory.mktemp("tables"), 20, LABELS)
    rows = [(f"{name}/{name} ({i}).png", name, f"{name}{i // 2}") for name in LABELS for i in range(20)]
    source = folder / "list.csv"
    source.write_text("\n".join(["shot;finding;who", *(";".join(row) for row in rows)]))
    return RunDir(tlmed.train(small(*SETTINGS), folder / "run", source).path), rows


def test_a_run_records_its_columns_and_classes_and_scores_its_images_again(trained):
    run, rows = trained
    kinds = {path: "malignant" if label == "malignant" else "other" for path, label, _ in rows}
    assert {row["path"]: row["label"] for row in read_csv(run / "splits.csv")} == kinds
    assert run.json("metrics.json")["classes"] == ["malignant", "other"]
    _, again = inference.evaluate(run)
    assert again["metrics"] == run.json("metrics.json")["metrics"]


def test_its_lock_finds_the_same_inputs(trained):
    run, _ = trained
    lock = read_lock(run.path)
    assert list(compare_inputs(lock.content, describe_inputs(lock, lock.recipe))) == []


@pytest.mark.parametrize("merged", [False, True])
def test_another_table_is_read_by_its_own_names_and_by_the_classes_of_the_run(trained, tmp_path, merged):
    run, rows = trained
    there = run.path.parent
    lines = [f"{path}\t{'other' if merged and label == 'benign' else label}" for path, label, _ in rows]
    (there / "other.tsv").write_text("\n".join(["Image File\tdx", *lines]))
    made, result = inference.evaluate(run, str(there / "other.tsv"), grouping=Grouping(use=False))
    assert (made.units.classes, result["n"]) == (("malignant", "other"), 60)
    warnings = result["evaluated"]["warnings"]
    found = "the column 'Image File' is taken for 'path', the column 'dx' is taken for 'label'"
    assert f"Of the table, {found} and columns are separated by tabs." in warnings
    first = "'normal' (20) and 'other' (20)" if merged else "'benign' (20) and 'normal' (20)"
    assert f"Classes by `data.classes`: 'malignant' is 'malignant' (20); 'other' is {first}." in warnings


def test_a_run_on_folders_of_patients_wants_them_in_another_folder_too_unless_groups_are_off(tmp_path):
    for name in ("here", "there"):
        flat = write_images(tmp_path / f"{name} flat", 12, ("ill", "well"))
        for number, file in enumerate(sorted(flat.rglob("*.png"))):
            target = tmp_path / name / file.parent.name / f"P{number // 2}" / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    run = RunDir(tlmed.train(small("data.groups=folder", "phases.epochs=1"), tmp_path / "run", tmp_path / "here").path)
    assert {row["group"] for row in read_csv(run / "splits.csv")} == {f"P{number}" for number in range(12)}
    _, result = inference.evaluate(run, str(tmp_path / "there"))
    assert result["groups"] == 12
    with pytest.raises(InputError, match="must lie in the folder of its patient"):
        inference.evaluate(run, str(tmp_path / "there flat"))
    _, alone = inference.evaluate(run, str(tmp_path / "there flat"), grouping=Grouping(use=False))
    assert alone["n"] == 24


def test_a_folder_is_read_by_the_classes_of_the_run(trained):
    run, _ = trained
    folder = write_images(run.path.parent / "folder", 4, LABELS)
    made, result = inference.evaluate(run, str(folder))
    assert (made.units.classes, result["n"]) == (("malignant", "other"), 12)


def test_a_table_of_several_labels_has_not_the_classes_of_a_run_of_one(finished, images):
    names = sorted(str(path.relative_to(images)) for path in images.glob("*/*.png"))
    table = images / "joined.csv"
    labels = ("benign|malignant", "benign", "malignant", "normal")
    table.write_text("path,label\n" + "".join(f"{name},{labels[i % 4]}\n" for i, name in enumerate(names)))
    try:
        with pytest.raises(InputError, match=r"must have the run's classes.*with 'benign\|malignant'"):
            inference.evaluate(RunDir(finished.path), str(table))
    finally:
        table.unlink()


def test_another_table_without_the_column_of_groups_is_grouped_by_its_own_usual_name(trained):
    run, rows = trained
    there = run.path.parent
    lines = [f"{path},{label},{group}" for path, label, group in rows]
    (there / "patients.csv").write_text("\n".join(["path,label,patient", *lines]))
    made, result = inference.evaluate(run, str(there / "patients.csv"))
    assert set(made.units.groups) == {group for _, _, group in rows}
    assert result["groups"] == 30
    with pytest.raises(InputError, match=r"`--group` must name a column.*Received: 'who'"):
        inference.evaluate(run, str(there / "patients.csv"), grouping=Grouping("who"))
