"""Folders in the layout of Hugging Face: the numbers are those of NumPy, and what does not fit is named."""

import importlib.util
import json
import pickle

import numpy as np
import pytest

import tlmed
from tests.backbones.hugging_face_files import (
    DEVIATION,
    MEAN,
    PATCH,
    WIDTH,
    compute,
    draw_weights,
    make_config,
    name_tensors,
    write_folder,
    write_safetensors,
)
from tlmed import backbones
from tlmed.backbones import hub_presets, hugging_face, own
from tlmed.blocks import partition
from tlmed.errors import InputError

SIZE = (16, 16)
PIXELS = np.random.default_rng(4).integers(0, 256, (2, *SIZE, 3)).astype("float32")
LAYOUTS = ("vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "timm")


@pytest.fixture(autouse=True)
def hub():
    return pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)


def build(folder, weights="own", size=SIZE):
    return backbones.build(f"hub:hf:{folder}", weights, size)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tokens_are_those_of_numpy_after_the_folders_own_preparation(layout, tmp_path):
    folder, weights = write_folder(tmp_path / "net", layout)
    built = build(folder)
    expected = compute(weights, PIXELS, turned=layout == "dinov3_vit")[0]
    np.testing.assert_allclose(built.model(PIXELS), expected, atol=2e-5)
    assert (built.source.name, built.source.sha256) == ("own", own.digest(built.model))
    # An encoder layer is a unit of its own.
    assert len(partition(built.model, "layer")) == 3


@pytest.mark.parametrize(
    ("layout", "prefix"), [("vit", "vit."), ("dinov2", "dinov2."), ("timm", "model.encoder."), ("dinov2", "net.")]
)
def test_the_encoder_of_a_larger_network_is_found(layout, prefix, tmp_path):
    folder, weights = write_folder(tmp_path / "net", layout)
    tensors = name_tensors(weights, layout, prefix) | {"classifier.weight": np.zeros((3, WIDTH), "float32")}
    tensors["decoder.layer.0.dense.weight"] = np.zeros((2, 2), "float32")
    write_safetensors(folder / "model.safetensors", tensors)
    np.testing.assert_allclose(build(folder).model(PIXELS), compute(weights, PIXELS)[0], atol=2e-5)


def test_the_epsilon_of_a_vit_is_that_of_its_configuration(tmp_path):
    folder, weights = write_folder(tmp_path / "net", "vit", layer_norm_eps=0.5)
    expected = compute(weights, PIXELS, epsilon=0.5)[0]
    np.testing.assert_allclose(build(folder).model(PIXELS), expected, atol=2e-5)
    assert np.abs(expected - compute(weights, PIXELS)[0]).max() > 0.1


@pytest.mark.parametrize("name", ["preprocessor_config.json", "config.json", "model.safetensors"])
def test_an_extractor_reads_a_folder_again_when_a_file_of_it_was_changed(name, tmp_path):
    folder, _ = write_folder(tmp_path / "net", "vit")
    other, _ = write_folder(tmp_path / "other", "vit", draw_weights(scaled=False, seed=5), layer_norm_eps=0.5)
    extractor = tlmed.FeatureExtractor(f"hub:hf:{folder}", "own", image_size=SIZE)
    before = extractor.fit_transform(PIXELS.astype("uint8"))
    content = (other / name).read_bytes()
    if name.startswith("preprocessor"):
        content = json.dumps(json.loads(content) | {"image_mean": [0.1, 0.2, 0.3]}).encode()
    (folder / name).write_bytes(content)
    after = extractor.fit_transform(PIXELS.astype("uint8"))
    assert np.abs(after - before).max() > 1e-3


def test_a_checkpoint_like_uni_has_scales_that_become_part_of_the_layer_before(tmp_path):
    weights = draw_weights(scaled=True)
    folder, _ = write_folder(tmp_path / "net", "timm", weights)
    config = make_config("timm")
    config["model_args"] |= {"init_values": 1e-5, "dynamic_img_size": True, "num_classes": 0}
    (folder / "config.json").write_text(json.dumps(config))
    np.testing.assert_allclose(build(folder).model(PIXELS), compute(weights, PIXELS)[0], atol=2e-5)


def test_a_checkpoint_like_retfound_also_holds_a_decoder(tmp_path):
    folder, weights = write_folder(tmp_path / "net", "timm")
    rng = np.random.default_rng(2)
    shapes = {"mask_token": (1, 1, 8), "decoder_pos_embed": (1, 17, 8), "decoder_embed.weight": (8, WIDTH)}
    shapes |= {f"decoder_blocks.{i}.attn.qkv.weight": (24, 8) for i in range(2)} | {"decoder_norm.weight": (8,)}
    decoder = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    write_safetensors(folder / "model.safetensors", name_tensors(weights, "timm") | decoder)
    np.testing.assert_allclose(build(folder).model(PIXELS), compute(weights, PIXELS)[0], atol=2e-5)


def test_weights_in_several_files_and_in_16_bits_are_read(tmp_path):
    folder, weights = write_folder(tmp_path / "net", "dinov2")
    weights = {name: value.astype("float16").astype("float32") for name, value in weights.items()}
    tensors = list(name_tensors(weights, "dinov2").items())
    (folder / "model.safetensors").unlink()
    index = {}
    for i, part in enumerate((dict(tensors[:9]), dict(tensors[9:]))):
        write_safetensors(folder / f"model-{i}.safetensors", part, "F16")
        index |= dict.fromkeys(part, f"model-{i}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    np.testing.assert_allclose(build(folder).model(PIXELS), compute(weights, PIXELS)[0], atol=2e-5)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../x.safetensors"}}))
    with pytest.raises(InputError, match=r"names files that are no \.safetensors beside it"):
        build(folder)


def test_a_dinov2_takes_images_of_another_size(hub, tmp_path):
    folder, weights = write_folder(tmp_path / "net", "dinov2")
    pixels = np.random.default_rng(1).integers(0, 256, (1, 24, 24, 3)).astype("float32")
    # Position embeddings as keras-hub interpolates them.
    interpolate = hub.src.models.dinov2.dinov2_layers.DINOV2Embedding._interpolate_position_embeddings
    position = np.asarray(interpolate(weights["position"], PATCH, SIZE, (24, 24)))
    built = build(folder, size=(24, 24))
    np.testing.assert_allclose(built.model(pixels), compute(weights, pixels, position=position)[0], atol=2e-5)
    with pytest.raises(InputError, match=r"`data.image_size` must be multiples of 4, the patch .*image_size=18,18"):
        build(folder, size=(18, 18))
    with pytest.raises(InputError, match="must be square for a DINOV2Backbone"):
        build(folder, size=(16, 24))
    folder, _ = write_folder(tmp_path / "vit", "vit")
    with pytest.raises(InputError, match=r"`data.image_size` must be 16,16 for the backbone"):
        build(folder, size=(24, 24))


def test_weights_none_are_random_and_need_no_file_of_weights(tmp_path):
    folder, _ = write_folder(tmp_path / "net", "vit")
    (folder / "model.safetensors").unlink()
    built = build(folder, "none")
    assert built.source.name == "none"
    with pytest.raises(InputError, match=r"must hold model\.safetensors\. Received: hub:hf:"):
        build(folder)


# Weights of one preset in the network of another


def test_weights_of_another_folder_go_into_the_same_network_with_their_own_preparation(tmp_path):
    net, _ = write_folder(tmp_path / "net", "vit", draw_weights(seed=1))
    other, weights = write_folder(tmp_path / "other", "vit")
    built = build(net, f"hub:hf:{other}")
    np.testing.assert_allclose(built.model(PIXELS), compute(weights, PIXELS)[0], atol=2e-5)
    assert built.source.name == f"hub:hf:{other}"
    assert backbones.locate(f"hub:hf:{net}", f"hub:hf:{net}", SIZE).startswith("own, found")
    assert backbones.locate(f"hub:hf:{net}", f"hub:hf:{other}", SIZE).startswith(f"hub:hf:{other}, found; images")
    wide, _ = write_folder(tmp_path / "wide", "vit", draw_weights(32), side=32)
    with pytest.raises(InputError, match=r"must be of the same network as `backbone`, a ViTBackbone; .* is \(65, 12\)"):
        build(net, f"hub:hf:{wide}")
    dino, _ = write_folder(tmp_path / "dino", "dinov2")
    with pytest.raises(InputError, match="they are a DINOV2Backbone's"):
        build(net, f"hub:hf:{dino}")
    with pytest.raises(InputError, match=r"must go with a backbone of keras-hub: write backbone='hub:hf:.*'MobileNet'"):
        backbones.build("MobileNet", f"hub:hf:{net}", SIZE)


# How images are prepared


@pytest.mark.parametrize(
    ("stated", "pixel", "size"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, (255 / 255 - 0.5) / 0.25, None),
        ({"do_normalize": False}, 1.0, None),
        ({"do_rescale": False, "image_mean": [100.0] * 3, "image_std": [10.0] * 3, "size": 14}, 15.5, [14, 14]),
        ({"do_normalize": False, "size": {"shortest_edge": 20}, "crop_size": 16, "do_center_crop": True}, 1, [16, 16]),
        ({"do_normalize": False, "size": {"height": 20, "width": 24}, "rescale_factor": 2}, 510, [20, 24]),
    ],
)
def test_images_are_prepared_as_the_folder_says(stated, pixel, size, tmp_path):
    folder, _ = write_folder(tmp_path / "net", "dinov2")
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    _, affine = hub_presets.read_preset(f"hf:{folder}", with_weights=False)
    np.testing.assert_allclose(255 * np.array(affine.scale) + affine.offset, [pixel] * 3)
    (described,) = backbones.describe_preparations(f"hub:hf:{folder}", "own")
    assert (described["file"], described["size"]) == ("preprocessor_config.json", size)


def test_a_configuration_of_timm_states_the_preparation_itself(tmp_path):
    folder, _ = write_folder(tmp_path / "net", "timm")
    (described,) = backbones.describe_preparations((f"hub:hf:{folder}", "MobileNet"), ("own", "imagenet"))
    assert described == {
        "file": "config.json",
        "rescale_factor": 1 / 255,
        "mean": list(MEAN),
        "std": list(DEVIATION),
        "size": [16, 16],
    }
    assert "config.json says: mean 0.48, 0.45, 0.4, deviation 0.22" in backbones.locate(f"hub:hf:{folder}", "own", SIZE)


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"image_mean": [0.5], "image_std": [0.5]},
        {"image_mean": [0.5] * 3, "image_std": [0] * 3},
        {"image_mean": 1},
        {"do_normalize": False, "size": {"longest_edge": 3}},
        [],
    ],
)
def test_a_preparation_that_is_not_stated_is_asked_for(stated, tmp_path):
    folder, _ = write_folder(tmp_path / "net", "vit")
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    with pytest.raises(InputError, match=r"must have a preprocessor_config.json that (states mean|is a JSON object)"):
        build(folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"a preprocessor_config.json that can be read \(No such file"):
        build(folder)


# What does not fit


def test_tensors_that_do_not_fit_are_named_one_by_one(tmp_path):
    folder, weights = write_folder(tmp_path / "net", "vit")
    weights["0.fc1"], weights["1.q"] = np.zeros((18, WIDTH), "float32"), np.zeros((7, 7), "float32")
    weights["position"] = np.zeros((1, 10, WIDTH), "float32")
    del weights["1.n2"], weights["norm_b"]
    write_safetensors(folder / "model.safetensors", name_tensors(weights, "vit"))
    with pytest.raises(InputError) as caught:
        build(folder)
    said = str(caught.value)
    assert "vit.embeddings.position_embeddings is [1, 10, 12], which does not become [17, 12]" in said
    assert "vit.encoder.layer.0.intermediate.dense.weight is [18, 12], which does not become [12, 20]" in said
    assert "vit.encoder.layer.1.attention.attention.query.weight is [7, 7], which does not become [12, 3, 4]" in said
    assert "; and 2 more. Received: hub:hf:" in said
    assert "\n" not in said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layers_that_the_configuration_does_not_have_are_named(layout, tmp_path):
    folder, _ = write_folder(tmp_path / "net", layout)
    config = json.loads((folder / "config.json").read_text())
    if layout == "timm":
        config["model_args"]["depth"] = 1
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(InputError, match=r"config.json has no place for (encoder\.layer|layer|blocks)\.1\..* more"):
        build(folder)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_tensor_is_named(layout, tmp_path):
    folder, weights = write_folder(tmp_path / "net", layout)
    tensors = name_tensors(weights, "dinov2" if layout.startswith("dinov2") else layout)
    lost = next(
        name for name in tensors if "1." in name and name.endswith(("fc2.bias", "down_proj.bias", "output.dense.bias"))
    )
    del tensors[lost]
    write_safetensors(folder / "model.safetensors", tensors)
    with pytest.raises(InputError, match=rf"{lost} is missing"):
        build(folder)


class Harm:
    def __reduce__(self):
        return print, ("a pickle was run",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "RETFound.pth"])
def test_a_pickle_is_refused_and_never_read(name, tmp_path, capsys):
    folder, _ = write_folder(tmp_path / "net", "vit")
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError, match=rf"{name} is a pickle, which can run code .* convert it to safetensors first"):
        build(folder)
    (folder / "model.safetensors").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError, match=r"have weights in model.safetensors that can be read; it is no safetensors"):
        build(folder)
    assert "a pickle was run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "that is JSON"),
        ("[]", "that is a JSON object"),
        ({}, r"with `model_type` \(transformers\) or `architecture` \(timm\)"),
        ({"model_type": "bert"}, r"of an image encoder, vit, .* with 'bert'"),
        ({"model_type": "vit"}, "'image_size' is missing"),
        (make_config("vit") | {"hidden_act": "relu"}, "have `hidden_act` 'gelu'.* with 'relu'"),
        (make_config("dinov2") | {"layer_norm_eps": 1e-5}, "have `layer_norm_eps` 1e-6.* with 1e-05"),
        (make_config("vit") | {"num_attention_heads": 0}, "that keras-hub draws; .*zero"),
        (make_config("vit") | {"patch_size": 5}, "should be divisible by patch size"),
        (make_config("timm") | {"architecture": "resnet50"}, "a plain vision transformer"),
        (make_config("timm") | {"model_args": {"reg_tokens": 8}}, "not reg_tokens"),
    ],
)
def test_a_configuration_of_no_such_network_is_refused_in_one_line(config, reason, tmp_path):
    folder, _ = write_folder(tmp_path / "net", "vit")
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if isinstance(config, dict):
        moments = {"mean": MEAN, "std": DEVIATION, "input_size": [3, 16, 16]}
        (folder / "config.json").write_text(json.dumps(config | moments))
    with pytest.raises(InputError, match=reason) as caught:
        build(folder)
    assert "\n" not in str(caught.value)


def test_without_safetensors_it_is_said_what_to_install(tmp_path, monkeypatch):
    folder, _ = write_folder(tmp_path / "net", "vit")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "safetensors" else find(name))
    with pytest.raises(InputError, match=r"`pip install safetensors` or tlmed\[hub\]"):
        build(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    for function in (backbones.build, backbones.locate):
        with pytest.raises(
            InputError, match=r"must lead to a folder with config.json .*/nowhere, which does not exist"
        ):
            function(f"hub:hf:{tmp_path / 'nowhere'}", "own", SIZE)


def test_a_folder_is_known_by_its_path_alone_and_is_no_published_preset(tmp_path):
    folder, weights = write_folder(tmp_path / "net", "dinov2")
    built = backbones.build(f"hub:{folder}", "own", SIZE)
    np.testing.assert_allclose(built.model(PIXELS), compute(weights, PIXELS)[0], atol=2e-5)
    assert not hub_presets.is_published("hub:hf:net")
    assert hugging_face.PREFIX == "hf:"
