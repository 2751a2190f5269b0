"""Files of a finished run that are another run's, or were edited: whatever reads them finds out."""

import json
import re
import shutil

import keras
import pytest

import tlmed
from tests.conftest import SMALL, write_images
from tlmed import backbones, inference
from tlmed.comparison import compare
from tlmed.digests import digest_layers, digest_model
from tlmed.errors import CheckFailed, InputError
from tlmed.export import write_card, write_requirements
from tlmed.intact import LOCK, RECORDED, check_intact, checksum, find_changed, read_verified
from tlmed.lock import write_lock
from tlmed.recipe import load_recipe, override
from tlmed.reproduce import Request, reproduce_and_report
from tlmed.run_files import DEGREES_CSV, EXAMPLES_JSON
from tlmed.rundir import RunDir
from tlmed.voice import Voice
from tlmed.whole_files import write_json

pytestmark = pytest.mark.usefixtures("empty_figures")

HYBRID = (*SMALL[:4], "examples=0", "head.folds=2", "head.grid.C=1.0,2.0")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images", 10, ("benign", "malignant"))


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Give two runs of other seeds on the same images, by name."""
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("one", 0), ("other", 1)):
        tlmed.train(override(load_recipe("feature_extractor"), [*SMALL, f"seed={seed}"]), folder / name, data)
    return {name: RunDir(folder / name) for name in ("one", "other")}


@pytest.fixture(scope="module")
def hybrids(data, tmp_path_factory):
    """Give two hybrids with the same weights, which pool otherwise and give as many features, by pooling."""
    folder, recipe = tmp_path_factory.mktemp("hybrids"), load_recipe("feature_extractor_hybrid")
    for pooling in ("avg", "max"):
        tlmed.train(override(recipe, [*HYBRID, f"head.pooling={pooling}"]), folder / pooling, data)
    return {pooling: RunDir(folder / pooling) for pooling in ("avg", "max")}


@pytest.fixture
def run(runs, tmp_path):
    """Give a copy of the first of two runs, to be spoilt."""
    return RunDir(shutil.copytree(runs["one"].path, tmp_path / "run"))


def edit(run, name, change):
    content = run.json(name)
    change(content)
    write_json(run / name, content)


def flatter(metrics):
    metrics["metrics"]["accuracy"]["value"] = 0.987


READERS = {
    "predict": lambda run, data: inference.predict(run, [data / "benign"]),
    "evaluate": lambda run, data: inference.evaluate(run),
    "evaluate --data": lambda run, data: inference.evaluate(run, str(data)),
    "card": lambda run, data: write_card(run),
    "weights": lambda run, data: backbones.build("CifarNet", str(run.path), (32, 32)),
    "plan": lambda run, data: backbones.locate("CifarNet", str(run.path), (32, 32)),
    "model": lambda run, data: tlmed.run.Run(run.path).model(),
}


@pytest.mark.parametrize("reader", READERS)
def test_the_network_of_another_run_is_refused(reader, runs, run, data):
    shutil.copy2(runs["other"] / "model.keras", run / "model.keras")
    with pytest.raises(InputError, match=r"where model\.keras is not as recorded: of another run, or edited") as caught:
        READERS[reader](run, data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_the_runs_own_network_is_taken_however_it_was_saved(reader, run, data):
    network = keras.saving.load_model(run / "model.keras")
    network.save(run / "model.keras")
    READERS[reader](run, data)


@pytest.mark.parametrize("reader", ["predict", "evaluate", "card"])
@pytest.mark.parametrize("part", ["model.keras", "classifier.skops"])
def test_part_of_another_hybrid_is_refused(reader, part, hybrids, data, tmp_path):
    run = RunDir(shutil.copytree(hybrids["avg"].path, tmp_path / "run"))
    assert digest_model(run / "model.keras") == digest_model(hybrids["max"] / "model.keras")
    assert digest_layers(run / "model.keras") != digest_layers(hybrids["max"] / "model.keras")
    READERS[reader](run, data)
    shutil.copy2(hybrids["max"] / part, run / part)
    with pytest.raises(InputError, match=f"where {re.escape(part)} is not as recorded"):
        READERS[reader](run, data)


CHANGES = {
    "recipe.json": lambda run: edit(run, "recipe.json", lambda recipe: recipe.update(seed=7)),
    "environment.json": lambda run: edit(run, "environment.json", lambda found: found["data"].update(images=7)),
    "splits.csv": lambda run: swap(run / "splits.csv", ",test,", ",val,"),
    "plan.json": lambda run: edit(run, "plan.json", lambda plan: plan.update(parameters=7)),
    "history.csv": lambda run: swap(run / "history.csv", "\n", "\n\n", last=True),
    "predictions.csv": lambda run: swap(run / "predictions.csv", ",0.", ",0.0"),
    "metrics.json": lambda run: edit(run, "metrics.json", flatter),
    "freeze.json": lambda run: edit(run, "freeze.json", lambda freeze: freeze["phases"][0].update(name="other")),
    "degrees.csv": lambda run: (run / "degrees.csv").write_text(",".join(DEGREES_CSV.columns)),
    "recipe.py": lambda run: (run / "recipe.py").write_text('"""Ready for patients."""\n'),
}


_BESIDE = ["recipe.py", "freeze.json", "degrees.csv"]


def swap(path, old, new, last=False):
    text = path.read_text()
    path.write_text(text.rsplit("\n", 2)[0] + "\n" if last else text.replace(old, new, 1))


@pytest.mark.parametrize("name", CHANGES)
def test_a_card_is_not_made_from_edited_files(name, run):
    CHANGES[name](run)
    with pytest.raises(InputError, match=f"where {re.escape(name)} is not as recorded"):
        write_card(run)


@pytest.mark.parametrize("name", ["recipe.json", "environment.json", "splits.csv", "predictions.csv", "metrics.json"])
def test_edited_files_are_not_evaluated_or_compared(name, runs, run):
    CHANGES[name](run)
    with pytest.raises(InputError, match=f"where {re.escape(name)} is not as recorded"):
        inference.evaluate(run)
    with pytest.raises(InputError):
        compare([runs["one"].path, run.path])


def test_compare_names_the_file_that_was_edited(runs, run):
    edit(run, "metrics.json", lambda metrics: metrics["metrics"]["f1"].update(value=0.99))  # accuracy and AUC agree
    with pytest.raises(InputError, match=r"where metrics\.json is not as recorded"):
        compare([runs["one"].path, run.path])


def test_metrics_that_were_edited_are_not_returned(run):
    assert tlmed.run.Run(run.path).metrics == run.json("metrics.json")
    CHANGES["metrics.json"](run)
    with pytest.raises(InputError, match=r"where metrics\.json is not as recorded"):
        _ = tlmed.run.Run(run.path).metrics


PYTHON = {"metrics": lambda run: run.metrics, "model": lambda run: run.model()}


@pytest.mark.parametrize(("reader", "names"), [("metrics", "metrics.json"), ("model", "recipe.json and model.keras")])
def test_python_is_warned_of_a_run_without_its_lock(reader, names, run):
    (run / LOCK).unlink()
    with pytest.warns(UserWarning, match=f"Whether {names} of run .* cannot be told: its lock.json is missing") as said:
        PYTHON[reader](tlmed.run.Run(run.path))
    assert said[0].filename == __file__


def test_a_requirements_file_is_not_made_from_edited_packages(run):
    edit(run, "environment.json", lambda found: found["packages"].update(keras="1.0"))
    with pytest.raises(InputError, match=r"where environment\.json is not as recorded"):
        write_requirements(run)


def test_all_files_that_were_changed_are_named_together(run):
    for name in ("splits.csv", "metrics.json"):
        CHANGES[name](run)
    with pytest.raises(InputError, match=r"where splits\.csv and metrics\.json are not as recorded"):
        write_card(run)


_CHECKED = ["recipe.json", "environment.json", "plan.json", "splits.csv", "metrics.json", *_BESIDE]


@pytest.mark.parametrize("name", _CHECKED)
def test_reproduce_check_names_a_file_that_was_edited(name, run, data):
    assert find_changed(run, read_verified(run / LOCK)) == []
    reproduce_and_report(Request(run.path, "check", source=str(data)), None, None)
    CHANGES[name](run)
    with pytest.raises(CheckFailed, match=re.escape(name)):
        reproduce_and_report(Request(run.path, "check", source=str(data)), None, None)


def test_examples_and_their_pictures_are_as_recorded_or_deleted(run, data):
    texts = dict.fromkeys(("path", "label", "prediction"), "x")
    one = {**texts, "kind": "right", "file": "examples/right-1.png", "score": 0.9, "method": None}
    EXAMPLES_JSON.write(run, {"split": "test", "notes": [], "examples": [one]})
    picture = run / "examples" / "right-1.png"
    picture.parent.mkdir()
    picture.write_bytes(b"picture")
    write_lock(run)
    assert check_intact(run, ["examples.json"]) == []
    picture.write_bytes(b"another")
    with pytest.raises(InputError, match=r"where examples\.json is not as recorded"):
        write_card(run)
    picture.unlink()
    assert check_intact(run, ["examples.json"]) == []
    edit(run, "examples.json", lambda found: found["examples"][0].update(score=0.99))
    with pytest.raises(CheckFailed, match=r"examples\.json"):
        reproduce_and_report(Request(run.path, "check", source=str(data)), None, None)


def test_times_and_dates_and_titles_of_pages_are_no_change(run):
    edit(run, "metrics.json", lambda metrics: metrics["kept"].update(seconds=99.0))
    edit(run, "environment.json", lambda found: found.update(warnings=["A sentence."]))
    edit(run, "freeze.json", lambda found: found.update(seconds=99.0))
    assert check_intact(run, RECORDED) == []


def test_without_its_lock_it_is_said_what_cannot_be_told(runs, run, data):
    (run / LOCK).unlink()
    said = []
    inference.predict(run, [data / "benign"], voice=Voice(warn=said.append))
    assert said == [
        "Whether recipe.json, metrics.json, environment.json, plan.json and model.keras of run are as the run wrote "
        "them cannot be told: its lock.json is missing."
    ]
    result = inference.evaluate(run)[1]
    assert any("predictions.csv" in warning for warning in result["evaluated"]["warnings"])
    card = write_card(run)
    assert "cannot be told: its lock.json is missing." in card
    assert str(run.path) not in card
    assert "\n# Whether environment.json of run is as the run wrote it cannot be told" in write_requirements(run)
    notes = compare([runs["one"].path, run.path]).notes
    assert any("of run are as the run wrote them cannot be told" in note for note in notes)


def test_weights_of_a_run_without_its_lock_are_said(run, data, tmp_path):
    (run / LOCK).unlink()
    recipe = override(load_recipe("feature_extractor"), [*SMALL, f"weights={run.path}"])
    made = tlmed.train(recipe, tmp_path / "next", data)
    warnings = RunDir(made.path).json("environment.json")["warnings"]
    assert any("cannot be told: its lock.json is missing." in warning for warning in warnings)


@pytest.mark.parametrize("form", ["older", "edited", "of no format", "no table"])
def test_a_lock_that_tells_nothing_is_said_or_refused(form, run, data):
    content = json.loads((run / LOCK).read_text())
    changed = {
        "older": {"format": 1, "sha256": "0"},
        "edited": {**content, "data": {**content["data"], "source": "x"}},
        "of no format": {"sha256": checksum({})},
        "no table": [],
    }
    write_json(run / LOCK, changed[form])
    said = []
    if form == "older":
        inference.predict(run, [data / "benign"], voice=Voice(warn=said.append))
        assert said[0].endswith("cannot be told: its lock.json has the older format 1.")
        return
    with pytest.raises(InputError, match="A lock must be "):
        inference.predict(run, [data / "benign"])


def test_a_forged_lock_is_refused_in_one_line(run, data):
    forged = {"format": 2}
    write_json(run / LOCK, {**forged, "sha256": checksum(forged)})
    with pytest.raises(InputError, match="RUN must have all its files, readable") as caught:
        inference.predict(run, [data / "benign"])
    assert "\n" not in str(caught.value)


def test_a_lock_from_before_layers_were_recorded_is_enough(run, data):
    content = json.loads((run / LOCK).read_text())
    del content["sha256"], content["results"]["layers"], content["files"]
    write_json(run / LOCK, {**content, "sha256": checksum(content)})
    assert check_intact(run, RECORDED) == []
    CHANGES["freeze.json"](run)  # which that lock does not hold
    assert check_intact(run, RECORDED) == []
    inference.predict(run, [data / "benign"])
