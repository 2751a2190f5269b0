"""A given split under another name is asked for or named, never passed over; a subgroup stays one."""

import pytest

from tests.data.test_data_sources import listing, write
from tlmed.data import load, open_source
from tlmed.data.splits import find_scheme_faults
from tlmed.divisions import describe_unused_splits, find_split_faults
from tlmed.errors import InputError
from tlmed.inference.rescoring import evaluate
from tlmed.sections import KFold

N = 40
SURE = {
    "is_test": "01",
    "IsTrain": ["True", "False"],
    "in_test_set": ["", "x"],
    "set": ["train", "Test"],
    "cohort": ["development", "holdout"],
    "Cohort": ["Training cohort", "Validation cohort"],
    "group_of_paper": ["derivation", "validation", ""],
    "Datensatz": ["Lern", "Prüf"],
    "Menge": ["Lerndaten", "Validierung", "PRUEFUNG"],
    "jeu": ["apprentissage", "test"],
    "ensemble": ["Entraînement", "évaluation"],
    "conjunto": ["entrenamiento", "prueba"],
    "subconjunto": ["conjunto de treino", "Validação", "teste"],
    "insieme": ["addestramento", "prova"],
    "usage": ["Training", "PublicTest", "PrivateTest"],
}
LIKELY = {
    "fold": "01234",
    "Fold_ID": "12",
    "cv": "01234",
    "kfold": "12345",
    "cross_validation": "123",
    "set": "012",
    "partition": "AB",
    "subset1": "AB",
    "official_split": "ab",
    "where": [f"fold_{number}" for number in range(5)],
    "test": ["no", "yes"],
    "is_valid": ["False", "True"],
    "train": "01",
    "dataset": ["train", "test_A", "test_B"],
    "phase": ["train_2019", "train_2020", "test_2020"],
    "usage": ["Public", "Private"],
    "Usage": ["Train", "Public", "Private"],
    "part": ["TrainA", "ValA", "TestB"],
    "source": ["internal train", "internal-test", ""],
}
NEVER = {
    "cohort": ["Bonn", "Ulm"],
    "dataset": ["NIH", "CheXpert"],
    "phase": ["arterial", "venous"],
    "test": ["PCR", "antigen"],
    "valid": "01",
    "cvd": "01",
    "mode": ["lernend", "blind"],
    "ownership": ["public", "private"],
    "finding": ["test positive", "test negative"],
    "site": ["training hospital", "Ulm"],
    "quality": ["valid", "invalid"],
    "age_group": ["<50", ">50"],
    "setting": ["inpatient", "outpatient"],
    "sex": ["f", "m"],
    "stage": ["development", "development"],
    "fold": "0",
    "set": [str(number) for number in range(N)],
}


def repeat(values):
    return [values[row % len(values)] for row in range(N)]


@pytest.mark.parametrize(("name", "values"), SURE.items())
def test_what_can_only_be_a_given_split_is_asked_for(name, values):
    [fault] = find_split_faults({name: repeat(values), "sex": repeat("fm")}, "list.csv", "it is none")
    assert fault.startswith("The column that gives the splits must be called 'split', and say train, val or test")
    assert f"Received: {name!r} in list.csv, with " in fault
    assert describe_unused_splits({name: repeat(values)}) == ()


@pytest.mark.parametrize(("name", "values"), LIKELY.items())
def test_what_may_be_a_given_split_is_named(name, values):
    columns = {name: repeat(values), "sex": repeat("fm")}
    assert find_split_faults(columns, "list.csv", "it is none") == []
    [said] = describe_unused_splits(columns)
    assert said.startswith(f"{name!r} (")
    assert "looks like a given split, and is not used as one" in said


@pytest.mark.parametrize(("name", "values"), NEVER.items())
def test_a_subgroup_is_no_split(name, values):
    columns = {name: repeat(values)}
    assert find_split_faults(columns, "list.csv", "it is none") == []
    assert describe_unused_splits(columns) == ()


def test_several_columns_are_one_line():
    [said] = describe_unused_splits({name: repeat("01") for name in ("train", "val", "test")})
    assert said.startswith("'train' (0 and 1), 'val' (0 and 1) and 'test' (0 and 1) look like given splits")


@pytest.fixture
def make(tmp_path):
    """Give a function that lists images with the values of one more column."""
    write(tmp_path, *(f"{number:02}.png" for number in range(N)))

    def make(name, values):
        rows = [f"{row:02}.png,{'ab'[row // 2 % 2]},{value}" for row, value in enumerate(repeat(values))]
        return listing(tmp_path, "\n".join([f"path,label,{name}", *rows]) + "\n")

    return make


def test_images_are_not_divided_beside_a_given_split(make):
    table = open_source(make("cohort", ["development", "holdout"]))
    with pytest.raises(InputError, match=r"Received: 'cohort' in data=.*, with development and holdout; write it so"):
        load(table, (4, 4))
    assert find_scheme_faults(table, KFold(k=2)) == find_scheme_faults(table, (0.7, 0.15, 0.15))
    everything = load(table, (4, 4), None)
    assert set(everything.splits) == {"test"}, "as an external set no image is divided"


def test_a_fold_is_named_where_images_are_divided(make):
    assert any(said.startswith("'fold' (0, 1") for said in load(make("fold", "01234"), (4, 4)).warnings)
    assert not any("given split" in said for said in load(make("fold", "01234"), (4, 4), None).warnings)
    given = make("fold,split", [f"{number % 3},{split}" for number, split in enumerate(["train", "test"] * 3)])
    assert not any("given split" in said for said in load(given, (4, 4)).warnings)


def test_predictions_are_not_all_test_beside_a_given_split(tmp_path):
    def score(name, values):
        lines = [f"{row},{'ab'[row // 2 % 2]},0.4,0.6,{value}" for row, value in enumerate(repeat(values))]
        (tmp_path / "p.csv").write_text("\n".join([f"path,label,score_a,score_b,{name}", *lines]))
        return evaluate(None, file=tmp_path / "p.csv")[1]["evaluated"]["warnings"]

    with pytest.raises(InputError, match=r"'is_test' in .*p.csv, with 0 and 1; .* if all rows shall be scored"):
        score("is_test", "01")
    with pytest.raises(InputError, match=r"'Datensatz' in .*p.csv, with Lern and Prüf"):
        score("Datensatz", ["Lern", "Prüf"])
    for name in ("cv", "kfold", "CV fold", "fold_id", "fold"):
        with pytest.raises(InputError, match=rf"must be of one fold.*column '{name}' with 0, 1, 2 and 2 more"):
            score(name, "01234")
    assert score("cv", "0") == score("site", "0")
    assert any(said.startswith("'set' (0, 1 and 2) looks") for said in score("set", "012"))
    many = score("dataset", ["train", "test_A", "test_B"])
    assert any(said.startswith("'dataset' (test_A, test_B and train) looks like a given split") for said in many)
    assert not any("given split" in said for said in score("set,split", ["0,train", "1,test"]))
