"""Attention rollout against NumPy, by hand, and of every transformer of keras-hub that attends to all tokens."""

import keras
import numpy as np
import pytest
from scipy.ndimage import zoom

from tests.backbones.hub_networks import NETWORKS
from tests.backbones.hugging_face_files import compute, write_folder
from tlmed.backbones import build, own
from tlmed.backbones.hub_presets import find_image_encoder
from tlmed.backbones.token_grids import TokenGrid
from tlmed.errors import InputError
from tlmed.evaluation.explanations import attention_rollout, explain_images, make_explainer
from tlmed.evaluation.explanations.rollouts import compute_scores, record_attention, share_attention, trace_attention
from tlmed.heads.dense import attach_head
from tlmed.sections import Dense

SIZE = (16, 16)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3)).astype("uint8")


def roll(attentions):
    """Return the product of layers as the paper writes it, one image and one layer after the other."""
    rolled = []
    for one in zip(*attentions, strict=True):
        flow = np.eye(one[0].shape[-1])
        for heads in one:
            mixed = 0.5 * heads.mean(axis=0) + 0.5 * np.eye(len(flow))
            flow = (mixed / mixed.sum(axis=1, keepdims=True)).dot(flow)
        rolled.append(flow)
    return np.array(rolled)


def test_a_rollout_is_the_papers_product():
    rng = np.random.default_rng(1)
    attentions = [rng.dirichlet(np.ones(7), (2, 4, 7)) for _ in range(3)]  # images, heads, queries
    flow, means = roll(attentions), [heads.mean(axis=1) for heads in attentions]
    grid = TokenGrid(extra=1, rows=2, columns=3)
    for reads, rows in (("class",), flow[:, 0]), (("patches",), flow[:, 1:].mean(axis=1)):
        found = share_attention(means, grid, reads)
        np.testing.assert_allclose(found, rows[:, 1:].reshape(2, 2, 3), rtol=1e-5)
    both = share_attention(means, grid, ("class", "patches"))
    parts = [share_attention(means, grid, [name]) for name in ("class", "patches")]
    np.testing.assert_allclose(both, np.mean(parts, axis=0), rtol=1e-5)


def test_a_last_layer_of_one_query_pools_the_rows():
    looks, query = np.full((1, 4, 4), 0.25), np.array([[[0.0, 1, 0, 0]]])
    found = share_attention([looks, query], TokenGrid(extra=0, rows=2, columns=2), ("patches",))
    np.testing.assert_allclose(found, [[[0.125, 0.625], [0.125, 0.125]]])


@keras.saving.register_keras_serializable("tests")
class Encoder(keras.layers.Layer):
    """One layer of a transformer, written with Keras alone."""

    def __init__(self, **options):
        super().__init__(**options)
        self.norm = keras.layers.LayerNormalization()
        self.attention = keras.layers.MultiHeadAttention(2, 4)

    def build(self, shape):
        self.norm.build(shape)
        self.attention.build(shape, shape)
        self.built = True

    def call(self, x):
        y = self.norm(x)
        return x + self.attention(y, y)


def without_hub(pools=None):
    keras.utils.set_random_seed(5)
    images = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(8, 4, strides=4)(keras.layers.Rescaling(1 / 255)(images))
    x = keras.layers.Reshape((16, 8))(x)
    for _ in range(2):
        x = Encoder()(x)
    x = (pools or keras.layers.GlobalAveragePooling1D(name="pool"))(x)
    model = keras.Model(images, keras.layers.Dense(2, "softmax", name="probabilities")(x))
    for weight in model.weights:  # random attention is nearly even
        weight.assign(weight * 3)
    return model


def test_a_transformer_of_plain_keras_is_opened_and_left_as_it_is():
    model = without_hub()
    before, names = model(IMAGES).numpy(), [layer.name for layer in model.layers]
    attentions, x = [], IMAGES.astype("float32")
    for layer in model.layers[1:]:
        if isinstance(layer, Encoder):
            y = layer.norm(x)
            attentions.append(np.asarray(layer.attention(y, y, return_attention_scores=True)[1]))
        x = layer(x)
    flow = roll(attentions).mean(axis=1).reshape(3, 4, 4)
    found = trace_attention(model)
    assert (found.grid, found.reads) == (TokenGrid(0, 4, 4), ("patches",))
    means = record_attention(found, model, IMAGES)
    np.testing.assert_allclose(share_attention(means, found.grid, found.reads), flow, rtol=1e-4)
    maps = attention_rollout(model, IMAGES, batch_size=2)
    assert (maps.shape, maps.dtype) == ((3, *SIZE), "float32")
    large = np.array([zoom(one, 4, order=1, grid_mode=True, mode="nearest") for one in flow])
    np.testing.assert_allclose(maps, large / large.max(axis=(1, 2), keepdims=True), rtol=1e-3)
    np.testing.assert_array_equal(model(IMAGES), before)
    assert [layer.name for layer in model.layers] == names
    assert not any("call" in vars(part) for part in model._flatten_layers())


def test_a_rollout_is_chosen_by_name_and_the_same_for_all_classes():
    model = without_hub()
    explainer = make_explainer(model, "attention-rollout")
    assert (explainer.name, explainer.block) == ("attention-rollout", None)
    np.testing.assert_array_equal(explainer(IMAGES, 0), explainer(IMAGES, [1, 0, 1]))
    np.testing.assert_array_equal(explainer(IMAGES, 0), explain_images(model, IMAGES, 1, "attention-rollout"))
    with pytest.raises(InputError, match="`block` goes with grad-cam and grad-cam"):
        make_explainer(model, "attention-rollout", block="block1")


def test_a_network_without_attention_is_refused():
    net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    net.add(keras.layers.Dense(2, "softmax"))
    with pytest.raises(InputError, match=r"each token attends to all others\. .* which has no such attention"):
        make_explainer(net, "attention-rollout")


# With keras-hub


@pytest.fixture
def hub():
    return pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)


@pytest.mark.parametrize("layout", ["vit", "dinov2_with_registers"])
@pytest.mark.parametrize("pooling", ["class", "avg", "class+avg"])
def test_a_rollout_of_known_weights_is_that_of_numpy(hub, layout, pooling, tmp_path):
    folder, weights = write_folder(tmp_path / "net", layout)
    extra = 3 if layout.endswith("registers") else 1
    model = attach_head(build(f"hub:hf:{folder}", "own", SIZE).model, 2, Dense(pooling=pooling)).plain()
    flow = roll(compute(weights, IMAGES.astype("float64"))[1])
    rows = {"class": flow[:, 0], "avg": flow[:, extra:].mean(axis=1)}
    wanted = np.mean([rows[name] for name in pooling.split("+")], axis=0)[:, extra:].reshape(3, 4, 4)
    found = trace_attention(model)
    assert found.grid == TokenGrid(extra, 4, 4)
    means = record_attention(found, model, IMAGES)
    np.testing.assert_allclose(share_attention(means, found.grid, found.reads), wanted, rtol=2e-4)
    assert attention_rollout(model, IMAGES).max(axis=(1, 2)).tolist() == [1, 1, 1]


QUICK = ("DINOV3Backbone", "DeiTBackbone", "SigLIPVisionEncoder")  # each with code of its own
SLOW = ("CLIPVisionEncoder", "DINOV2Backbone", "MetaCLIP2VisionEncoder", "ViTBackbone")
ALL_TO_ALL = (*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW))


def attach(hub, name):
    options, *_ = NETWORKS[name]
    net = find_image_encoder(getattr(hub.models, name)(**options))
    return attach_head(own.wrap(net, options["image_shape"][:2], copied=False), 2).plain()


@pytest.mark.parametrize("name", ALL_TO_ALL)
def test_each_transformer_that_attends_to_all_tokens_has_a_rollout(hub, name):
    model = attach(hub, name)
    images = np.random.default_rng(2).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    found = trace_attention(model)
    layers = NETWORKS[name][0]["num_layers"] + (name == "SigLIPVisionEncoder")  # and the query that pools
    means = record_attention(found, model, images)
    assert len(means) == layers
    for attention in means:
        np.testing.assert_allclose(attention.sum(axis=-1), 1, rtol=1e-4)
    maps = attention_rollout(model, images)
    assert maps.shape == (2, 32, 32)
    assert maps.max(axis=(1, 2)).tolist() == [1, 1]


def test_scores_that_a_layer_does_not_give_explain_its_output(hub):
    """Values, weighted by the scores that are computed again, are what DINOv3's attention gives."""
    rng = np.random.default_rng(3)
    layer = hub.src.models.dinov3.dinov3_layers.DINOV3Attention(hidden_dim=8, num_heads=2)
    turns = [rng.normal(size=(5, 4)).astype("float32") for _ in range(2)]
    options = {"position_embeddings": turns, "num_prefix_tokens": 2}
    layer(np.zeros((1, 7, 8), "float32"), **options)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    tokens = rng.normal(size=(2, 7, 8)).astype("float32")
    scores = np.asarray(compute_scores(layer, tokens, **options))
    values = np.asarray(layer.value_dense(tokens)).reshape(2, 7, 2, 4)
    mixed = np.einsum("bhqk,bkhd->bqhd", scores, values).reshape(2, 7, 8)
    np.testing.assert_allclose(layer(tokens, **options), layer.output_dense(mixed), rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Layer 'stage_:UserWarning", "ignore:.*mask attached to it:UserWarning")
@pytest.mark.parametrize("name", ["SwinTransformerBackbone", "MiTBackbone"])
def test_windows_and_reduced_keys_have_no_rollout(hub, name):
    with pytest.raises(InputError, match="each token attends to all others"):
        attention_rollout(attach(hub, name), np.zeros((1, 32, 32, 3), "uint8"))


def test_two_transformers_have_no_common_rollout(hub, tmp_path):
    folder, _ = write_folder(tmp_path / "net", "vit")
    name = f"hub:hf:{folder}"
    model = attach_head(build((name, name), "own", SIZE).model, 2).plain()
    with pytest.raises(InputError, match="with several backbones"):
        attention_rollout(model, IMAGES)
