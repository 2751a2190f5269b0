"""A network is loaded only as tlmed saved it: anything else is one error, and allocates nothing."""

import copy
import json
import random
import shutil
import zipfile

import keras
import numpy as np
import pytest

from tests.conftest import SMALL
from tests.run.test_run_hybrid import hybrid
from tlmed import backbones, inference
from tlmed import train as train_recipe
from tlmed.backbones.saved import load_network
from tlmed.errors import InputError
from tlmed.recipe import load_recipe, override
from tlmed.rundir import RunDir

pytestmark = pytest.mark.usefixtures("empty_figures")

NOT_OURS = r"`model.keras` must be a model that tlmed saved\. Received: .*model.keras: "


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Give the members of a small classifier's file."""
    images = keras.Input((16, 16, 3), name="images")
    x = keras.layers.Conv2D(4, 3, name="conv")(images)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(images, keras.layers.Dense(2, "softmax", name="probabilities")(x))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, parts):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def configured(parts, change):
    config = json.loads(parts["config.json"])
    change(config)
    return {**parts, "config.json": json.dumps(config)}


def layer(config, name):
    return next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == name)


def test_a_file_as_it_was_saved_is_loaded(parts, tmp_path):
    model = load_network(write(tmp_path / "model.keras", parts))
    assert (model.input_shape, model.output_shape) == ((None, 16, 16, 3), (None, 2))


def test_layers_larger_than_the_file_are_refused_before_they_are_allocated(parts, tmp_path):
    grown = configured(parts, lambda config: layer(config, "probabilities")["config"].update(units=10**12))
    with pytest.raises(InputError, match=NOT_OURS + r"its layers need [\d,]{17,} bytes of weights, and it holds"):
        load_network(write(tmp_path / "model.keras", grown))
    assert keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).count_params() == 15  # nothing waits for memory


def without(config, name):
    config["config"]["layers"].remove(layer(config, name))


CHANGES = {
    "a lambda": lambda config: layer(config, "pool").update(class_name="Lambda", config={"name": "pool"}),
    "an unknown class": lambda config: layer(config, "conv").update(class_name="Nothing"),
    "a class of another module": lambda config: layer(config, "conv").update(module="os", class_name="system"),
    "no layers": lambda config: config["config"].update(layers=[]),
    "a layer less": lambda config: without(config, "norm"),
    "a list": lambda config: config["config"].update(layers={}),
    "another kind of input": lambda config: layer(config, "images")["config"].update(batch_shape=[None, 64, 3]),
    "one colour": lambda config: layer(config, "images")["config"].update(batch_shape=[None, 16, 16, 1]),
    "a name": lambda config: layer(config, "conv")["config"].update(name=3),
    "no output": lambda config: config["config"].update(output_layers=[]),
    "a number for a configuration": lambda config: config.update(config=7),
    "no model": lambda config: config.update(module="keras.layers", class_name="ReLU", config={}, build_config=None),
    "fewer units": lambda config: layer(config, "probabilities")["config"].update(units=1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_configuration_is_refused_in_one_line(name, parts, tmp_path):
    with pytest.raises(InputError, match=NOT_OURS) as error:
        load_network(write(tmp_path / "model.keras", configured(parts, CHANGES[name])))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"PK\x03\x04", b"\x00" * 1000, None], ids=repr)
def test_what_is_no_archive_is_refused(content, tmp_path):
    path = tmp_path / "model.keras"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=NOT_OURS):
        load_network(path)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"\x89HDF\r\n\x1a\n", b"x" * 3000], ids=repr)
def test_what_lacks_a_part_is_refused(name, content, parts, tmp_path):
    changed = {**parts, name: content} if content is not None else {key: parts[key] for key in parts if key != name}
    with pytest.raises(InputError, match=NOT_OURS):
        load_network(write(tmp_path / "model.keras", changed))


def places(content, path=()):
    """Yield the path of everything in a configuration."""
    if path:
        yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, part in items:
        yield from places(part, (*path, key))


def test_a_configuration_that_was_changed_at_random_is_loaded_or_refused(parts, tmp_path):
    config, draw = json.loads(parts["config.json"]), random.Random(0)
    paths = list(places(config))
    values = [None, 0, -1, 10**12, 2**70, 1.5, "", "x", [], {}, [[]], True, ["a"] * 3, {"class_name": "Lambda"}]
    loaded = refused = 0
    for _ in range(80):
        changed = copy.deepcopy(config)
        *before, last = draw.choice(paths)
        part = changed
        for key in before:
            part = part[key]
        part[last] = draw.choice(values)
        try:
            load_network(write(tmp_path / "model.keras", {**parts, "config.json": json.dumps(changed)}), compile=True)
            loaded += 1
        except InputError as error:
            refused += "\n" not in str(error)
    assert (loaded + refused, loaded > 10, refused > 30) == (80, True, True)


# Weights that are not finite, wherever scores are made


@pytest.fixture(scope="module")
def runs(images, tmp_path_factory):
    """Give a run with a dense head, and hybrids of classifiers that refuse NaN and that take it."""
    recipe = override(load_recipe("feature_extractor"), [*SMALL, "phases.epochs=1"])
    found = {"dense": RunDir(train_recipe(recipe, tmp_path_factory.mktemp("runs") / "dense", images).path)}
    for name, point in {"LogisticRegression": "C=1,10", "HistGradientBoosting": "max_iter=3,5"}.items():
        recipe = hybrid(f"head.classifier={name}", f"head.grid.{point}", "head.folds=2")
        found[name] = RunDir(train_recipe(recipe, tmp_path_factory.mktemp("runs") / name, images).path)
    return found


def spoil(run, value, copied, every=False):
    """Return a copy of a run, as if it had become so, with a value among its network's weights, or as all of them."""
    shutil.copytree(run.path, copied, ignore=shutil.ignore_patterns("lock.json"))
    model = keras.saving.load_model(copied / "model.keras")
    chosen = model.weights if every else [next(weight for weight in model.weights if "conv" in weight.path)]
    for weight in chosen:
        numbers = weight.numpy()
        numbers[..., 0] = value
        weight.assign(numbers)
    model.save(copied / "model.keras")
    return RunDir(copied), chosen[0].path


@pytest.mark.parametrize(
    ("name", "value"), [("dense", np.nan), ("LogisticRegression", np.nan), ("HistGradientBoosting", np.inf)]
)
def test_weights_that_are_not_finite_score_nothing(name, value, runs, images, tmp_path):
    run, weight = spoil(runs[name], value, tmp_path / "run")
    said = f"Weights must be finite numbers. Received: {run / 'model.keras'}, with NaN or infinity in {weight}."
    for score in (
        lambda: inference.predict(run, [images / "normal"]),
        lambda: inference.predict(run, [images / "normal"], shown=inference.Pictures(tmp_path / "maps")),
        lambda: inference.evaluate(run),
        lambda: inference.evaluate(run, str(images)),
    ):
        with pytest.raises(InputError) as error:
            score()
        assert str(error.value) == said
    backbone = run.json("recipe.json")["backbone"]
    with pytest.raises(InputError, match="Weights must be finite numbers"):
        backbones.build(backbone, str(run.path), (32, 32))


@pytest.mark.parametrize("name", ["dense", "HistGradientBoosting"])
def test_finite_weights_that_overflow_score_nothing(name, runs, images, tmp_path):
    run, _ = spoil(runs[name], 3e38, tmp_path / "run", every=True)
    with pytest.raises(InputError, match=r"must give finite features and scores\. Received: .*run, which does not for"):
        inference.predict(run, [images / "normal"])


def test_a_network_of_another_size_or_of_other_classes_is_refused(runs, parts, images, tmp_path):
    shutil.copytree(runs["dense"].path, tmp_path / "run", ignore=shutil.ignore_patterns("lock.json"))
    run = RunDir(tmp_path / "run")
    write(run / "model.keras", parts)
    with pytest.raises(InputError, match=r"`model.keras` must take images of the recipe's size, \(32, 32\)"):
        inference.predict(run, [images / "normal"])
    recipe = run.json("recipe.json")
    recipe["data"]["image_size"] = [16, 16]
    (run / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(
        InputError, match=r"must give a probability for each of 3 classes\. Received: .*which gives 2\."
    ):
        inference.predict(run, [images / "normal"])
