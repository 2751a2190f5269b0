"""Adapters beside frozen layers: what they compute, what they add, and the plain network that they leave."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.hub_networks import NETWORKS
from tests.test_certificate import FAMILIES
from tests.test_phases import IMAGES, LABELS, SIZE, Own, fit, make, moved, phase, wrap
from tests.test_phases import weights as weights_of
from tlmed.adapters import attach, count_added, find_adapters
from tlmed.adapters.low_rank import ALPHA
from tlmed.adapters.scale_shift import NORMALISATIONS
from tlmed.backbones import build, own
from tlmed.backbones.hub_presets import find_image_encoder
from tlmed.batch_statistics import reestimate_statistics
from tlmed.certificate import certify, certify_merge, fingerprint, make_claim
from tlmed.errors import InputError, RunFailed
from tlmed.frozen import batch_norms, leaves, whole
from tlmed.heads.dense import attach_head
from tlmed.phases import merge, thaw
from tlmed.sections import Phase
from tlmed.sections.adaptation import ADAPTERS

# The other adapters are slow tests: what they share is tried with one.
ONE_AT_ONCE = ["lora", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("ssf", "bitfit"))]

# Of keras-hub, what has no dense layer, attention or 1x1 convolution.
WITHOUT_MATRICES = ("VGGBackbone",)

RNG = np.random.default_rng(0)


def make_separable():
    """Make a classifier of MobileNetV2's layers, few and narrow: three blocks, the upper two of inverted residuals."""
    inputs = keras.Input((*SIZE, 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(name="stem_norm")(x))
    for number, filters in ((1, 16), (2, 64)):
        x = keras.layers.Conv2D(4 * filters, 1, use_bias=False, name=f"expand{number}")(x)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(name=f"expand{number}_norm")(x))
        x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name=f"depthwise{number}")(x)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(name=f"depthwise{number}_norm")(x))
        x = keras.layers.Conv2D(filters, 1, use_bias=False, name=f"project{number}")(x)
        x = keras.layers.BatchNormalization(name=f"project{number}_norm")(x)
    x = keras.layers.Conv2D(80, 1, use_bias=False, name="last")(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(name="last_norm")(x))
    backbone = keras.Model(inputs, x)
    reestimate_statistics(backbone, [IMAGES])
    return attach_head(backbone, 3, seed=1)


def adapt(layer, inputs, kind="lora", **fields):
    """Put a layer between an input and an output, and give it an adapter with random values."""
    images = keras.Input(inputs.shape[1:])
    network = keras.Model(images, layer(images))
    for weight in network.weights:
        weight.assign(RNG.uniform(0.1, 1, weight.shape))
    attached = attach(find_adapters([whole(network)], phase("all", adapt=kind, **fields)), 0, "p")
    scatter(attached)
    return network, attached


def scatter(attached, size=0.5):
    for parts in attached.variables:
        for variable in parts.values():
            variable.assign_add(RNG.normal(0, size, variable.shape))


def test_lora_of_a_dense_layer_is_the_sum_of_the_paper():
    x = RNG.normal(size=(5, 6)).astype("float32")
    layer = keras.layers.Dense(4, activation="tanh")
    network, attached = adapt(layer, x, rank=3)
    a, b = (variable.numpy() for variable in attached.variables[0].values())
    assert (a.shape, b.shape) == ((6, 3), (3, 4))
    kernel, bias = (weight.numpy() for weight in layer.weights[:2])
    np.testing.assert_allclose(network(x), np.tanh(x @ (kernel + ALPHA / 3 * a @ b) + bias), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("equation", "inputs", "output"),
    [
        ("abc,cde->abde", (7, 6), (None, 2, 4)),  # query, key and value of attention
        ("abcd,cde->abe", (7, 2, 4), (None, 6)),  # its output
        ("...x,xy->...y", (7, 6), 4),
    ],
)
def test_lora_of_attention_is_that_of_its_kernel_as_a_matrix(equation, inputs, output):
    x = RNG.normal(size=(3, *inputs)).astype("float32")
    layer = keras.layers.EinsumDense(equation, output)
    network, attached = adapt(layer, x, rank=2)
    a, b = (variable.numpy() for variable in attached.variables[0].values())
    kernel = layer.kernel.numpy()
    rows = np.prod([6] if inputs == (7, 6) else [2, 4])
    assert a.shape == (rows, 2)
    assert b.shape == (2, kernel.size // rows)
    expected = np.einsum(equation, x, kernel + ALPHA / 2 * (a @ b).reshape(kernel.shape))
    np.testing.assert_allclose(network(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strides", [1, 2])
def test_lora_of_a_convolution_of_one_pixel_is_that_of_a_dense_layer(strides):
    x = RNG.normal(size=(2, 5, 5, 6)).astype("float32")
    layer = keras.layers.Conv2D(4, 1, strides=strides, padding="same", activation="relu")
    network, attached = adapt(layer, x, rank=1)
    a, b = (variable.numpy() for variable in attached.variables[0].values())
    kernel, bias = (weight.numpy() for weight in layer.weights[:2])
    expected = np.maximum(x[:, ::strides, ::strides] @ (kernel[0, 0] + ALPHA * a @ b) + bias, 0)
    np.testing.assert_allclose(network(x), expected, rtol=1e-4, atol=1e-5)


def make_layers():
    return {
        "dense": (keras.layers.Dense(4, activation="gelu"), (6,)),
        "dense without bias": (keras.layers.Dense(4, use_bias=False), (6,)),
        "attention": (keras.layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de"), (7, 6)),
        "convolution": (keras.layers.Conv2D(4, 3, strides=2, activation="relu"), (8, 8, 6)),
        "in groups": (keras.layers.Conv2D(4, 3, groups=2), (8, 8, 6)),
        "depthwise": (keras.layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"), (8, 8, 6)),
        "separable": (keras.layers.SeparableConv2D(4, 3), (8, 8, 6)),
        "batch norm": (keras.layers.BatchNormalization(), (8, 8, 6)),
        "batch norm without gamma": (keras.layers.BatchNormalization(scale=False), (8, 8, 6)),
        "batch norm without beta": (keras.layers.BatchNormalization(center=False), (8, 8, 6)),
        "layer norm": (keras.layers.LayerNormalization(), (7, 6)),
        "group norm": (keras.layers.GroupNormalization(2), (8, 8, 6)),
    }


@pytest.mark.parametrize("name", make_layers())
def test_scale_and_shift_come_after_the_layer_and_before_its_activation(name):
    layer, shape = make_layers()[name]
    x = RNG.normal(size=(3, *shape)).astype("float32")
    network, attached = adapt(layer, x, "ssf")
    parts = {key: variable.numpy() for key, variable in attached.variables[0].items()}
    found, activation = network(x, training=True).numpy(), getattr(layer, "activation", None)
    before = {weight.path: weight.numpy() for weight in layer.weights if "ssf" not in weight.path}
    # The layer alone, without activation, is the reference.
    attached.merge()
    for weight in layer.weights:
        weight.assign(before[weight.path])
    layer.activation = None
    plain = network(x, training=False).numpy()
    expected = plain * parts.get("ssf_scale", 1) + parts.get("ssf_shift", 0)
    assert set(parts) == {
        *(["ssf_scale"] if not name.endswith("gamma") else []),
        *(["ssf_shift"] if "without b" not in name else []),
    }
    np.testing.assert_allclose(found, activation(expected) if activation else expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["lora", "ssf"])
@pytest.mark.parametrize("name", make_layers())
def test_merged_and_unmerged_layers_give_the_same(name, kind):
    layer, shape = make_layers()[name]
    x = RNG.normal(size=(3, *shape)).astype("float32")
    if kind == "lora" and name not in ("dense", "dense without bias", "attention"):
        with pytest.raises(InputError, match="`adapt` must be None where no thawed block has a dense"):
            adapt(layer, x, kind, rank=2)
        return
    network, attached = adapt(layer, x, kind, **({"rank": 2} if kind == "lora" else {}))
    names = [weight.path for weight in layer.weights]
    traced = keras.Model(network.inputs, network.outputs)
    with_adapter, from_trace = network(x), traced.predict(x, verbose=0)
    attached.merge()
    np.testing.assert_allclose(network(x), with_adapter, rtol=1e-4, atol=1e-4)
    # A function that was traced with the adapter goes on to be right.
    np.testing.assert_allclose(traced.predict(x, verbose=0), from_trace, rtol=1e-4, atol=1e-4)
    assert [weight.path for weight in layer.weights] == [it for it in names if "lora" not in it and "ssf" not in it]
    assert "call" not in vars(layer)


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("make", [make, make_separable])
def test_a_phase_begins_with_the_same_network_and_trains_the_adapters_and_the_head_alone(make, kind):
    model = make()
    plain = model.plain()(IMAGES).numpy()
    kept = {weight.path: weight.numpy() for weight in model.weights}
    if make is not make_separable and kind == "lora":  # its convolutions are of three pixels
        with pytest.raises(InputError, match="a dense, an attention's or a 1x1 convolution's kernel"):
            thaw(model, phase(2, adapt=kind))
        return
    thaw(model, phase(2, adapt=kind))
    np.testing.assert_array_equal(model.plain()(IMAGES), plain)
    fit(model, 2)
    changed = {it.path for it in model.weights if it.path in kept and not np.array_equal(kept[it.path], it)}
    assert {it.rsplit("/")[-1] for it in changed if "probabilities" not in it} <= (
        {"bias", "beta"} if kind == "bitfit" else set()
    )
    assert {"probabilities/kernel", "probabilities/bias"} <= changed
    assert model.adapters.trained
    assert all(it.trainable for it in model.adapters.trained)


def count_by_hand(network, kind, rank=4):
    """Count what an adapter trains of a network, from the shapes of its kernels alone."""
    total = 0
    for layer in leaves(network.layers):
        shapes = {weight.name: weight.shape for weight in layer.weights}
        if kind == "bitfit":
            total += sum(np.prod(shape) for name, shape in shapes.items() if name in ("bias", "beta"))
        elif kind == "ssf":
            channels = layer.output.shape[-1]
            total += channels * (("kernel" in shapes or "gamma" in shapes) + ("bias" in shapes or "beta" in shapes))
        elif "kernel" in shapes and shapes["kernel"][:2] == (1, 1) and "Depthwise" not in type(layer).__name__:
            total += rank * sum(shapes["kernel"][2:])
    return total


@pytest.fixture(scope="module")
def mobilenet():
    return build("MobileNetV2", "none", SIZE).model


@pytest.mark.parametrize("kind", ADAPTERS)
def test_the_trained_parameters_are_those_counted_by_hand(mobilenet, kind):
    model = attach_head(mobilenet, 3, seed=1)
    for layer in model.layers:
        layer.trainable = True  # as before the phase of another kind
    expected = count_by_hand(model.parts.backbone, kind)
    head = 1280 * 3 + 3
    thaw(model, phase("all", adapt=kind, rank=4 if kind == "lora" else None))
    assert sum(np.prod(it.shape) for it in model.trainable_variables) == expected + head
    assert count_added(model.adapters.adapters) == (0 if kind == "bitfit" else expected)
    merge(model)


def test_bitfit_steps_are_those_of_plain_keras_with_nothing_but_biases_trainable():
    # Plain Keras: gamma and kernels set aside by their flags, statistics held by `training=False`.
    model, plain = make(), make()
    plain.set_weights(model.get_weights())
    fields = {"optimizer": "sgd", "adapt": "bitfit"}
    thaw(model, phase("all", **fields))
    for norm_or_other in plain.layers:
        for weight in norm_or_other._trainable_variables:
            weight.trainable = weight.name in ("bias", "beta")
    backbone, dense = plain.parts.backbone, plain.get_layer("probabilities")
    dense.kernel.trainable = True
    drops = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    for layer in drops:
        layer.rate = 0.0
    sgd = keras.optimizers.SGD(1e-2)
    for _ in range(3):
        model.run_eagerly = True
        model.train_on_batch(IMAGES, LABELS)
        with tf.GradientTape() as tape:
            loss = keras.losses.SparseCategoricalCrossentropy()(LABELS, plain.plain()(IMAGES, training=False))
        trained = [weight for weight in plain.weights if weight.trainable and weight.name in ("bias", "beta", "kernel")]
        trained = [weight for weight in trained if weight.name != "kernel" or weight is dense.kernel]
        sgd.apply_gradients(zip(tape.gradient(loss, [it.value for it in trained]), trained, strict=True))
    assert backbone.count_params() == model.parts.backbone.count_params()
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(model.get_layer("norm1").beta, make().get_layer("norm1").beta)


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("shape", ["flat", "nested", "own"])
def test_layers_inside_of_models_and_of_a_users_own_layers_are_adapted_too(shape, kind):
    parts = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 1, name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Conv2D(4, 3, name="wide"),
    ]
    network = wrap(parts, shape)
    model = attach_head(network, 3, seed=1)
    thaw(model, phase("all", adapt=kind, rank=2 if kind == "lora" else None))
    before = weights_of(parts)
    if kind != "bitfit":
        scatter(model.adapters, 0.1)
    changed = model.plain()(IMAGES).numpy()
    fit(model)
    if kind != "bitfit":
        assert not moved({key: value for key, value in before.items() if key[1] < 2}, parts)
    mean = parts[2].moving_mean.numpy()
    np.testing.assert_array_equal(mean, np.zeros(4))
    trained = model.plain()(IMAGES).numpy()
    assert np.abs(trained - changed).max() > 1e-6
    merge(model)
    np.testing.assert_allclose(model.plain()(IMAGES), trained, atol=1e-5)


def test_a_layer_with_code_of_its_own_has_no_adapter_but_what_it_holds_has():
    class Strange(keras.layers.Dense):
        def call(self, inputs):
            return super().call(inputs) ** 2

    inputs = keras.Input((6,))
    x = Strange(5, name="strange")(inputs)
    x = Own([keras.layers.Dense(4, name="inner")])(x)
    found = find_adapters([whole(keras.Model(inputs, x))], phase("all", adapt="lora", rank=1))
    assert [adapter.layer.name for adapter in found] == ["inner"]


def test_layers_that_share_a_kernel_have_no_adapter():
    first, second, third = (keras.layers.Dense(6, use_bias=False, name=name) for name in ("first", "second", "third"))
    inputs = keras.Input((6,))
    network = keras.Model(inputs, third(second(first(inputs))))
    second._tracker.unlock()
    second._kernel = first._kernel
    network = keras.Model(inputs, third(second(first(inputs))))
    found = find_adapters([whole(network)], phase("all", adapt="lora", rank=1))
    assert [adapter.layer.name for adapter in found] == ["third"]


@pytest.mark.parametrize("kind", ONE_AT_ONCE)
def test_a_network_is_saved_merged_while_its_phase_goes_on_to_the_bit(kind, tmp_path):
    models = [make_separable() for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    for model in models:
        thaw(model, phase(2, adapt=kind, rank=4 if kind == "lora" else None))
        fit(model)
    models[0].save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded).__module__.startswith("keras.")
    assert [it.path for it in loaded.weights] == [it.path for it in make_separable().weights]
    assert not any("lora" in str(layer.get_config()) for layer in loaded.layers)
    features = keras.Model(loaded.inputs[0], loaded.get_layer("probabilities").input)(IMAGES)
    with_adapters = keras.Model(models[0].inputs[0], models[0].get_layer("probabilities").input)(IMAGES)
    np.testing.assert_allclose(features, with_adapters, rtol=0, atol=1e-4 * np.abs(with_adapters).max())
    for model in models:
        fit(model)
    for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ADAPTERS)
def test_the_next_phase_begins_with_the_merged_network(kind):
    model = thaw(make_separable(), phase(2, adapt=kind, rank=4 if kind == "lora" else None))
    names = [weight.path for weight in make_separable().weights]
    fit(model, 2)
    features = keras.Model(model.inputs[0], model.get_layer("probabilities").input)
    before = features(IMAGES).numpy()
    thaw(model, phase(1))
    assert model.adapters is None
    assert [weight.path for weight in model.weights] == names
    np.testing.assert_allclose(features(IMAGES), before, rtol=0, atol=1e-4 * np.abs(before).max())
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert not any(norm.trainable for norm in norms)


def test_first_values_come_from_the_seed_and_the_name_of_the_phase():
    def draw(seed, name):
        model = make_separable()
        model.seed = seed
        thaw(model, Phase(name, 1, 1, 1e-3, adapt="lora", rank=4))
        return [it.numpy() for parts in model.adapters.variables for it in parts.values()]

    first, again, seed, name = draw(1, "p"), draw(1, "p"), draw(2, "p"), draw(1, "q")
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], seed[0])
    assert not np.array_equal(first[0], name[0])
    # A is uniform to 1 / sqrt(inputs), as in the authors' code; B is 0.
    a, b = first[:2]
    limit = 1 / np.sqrt(len(a))
    assert 0.9 * limit < np.abs(a).max() <= limit
    assert a.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)
    assert not b.any()


def test_a_rank_above_a_kernels_smaller_side_is_refused_with_its_name_and_shape():
    inputs = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(9, 1, name="wide")(keras.layers.Conv2D(96, 3, strides=2)(inputs))
    model = attach_head(keras.Model(inputs, keras.layers.Conv2D(4, 1, name="squeeze")(x)), 3, seed=1)
    with pytest.raises(InputError) as caught:
        thaw(model, phase("all", adapt="lora"))
    assert str(caught.value).startswith("`rank` must be at most 4, ")
    assert "squeeze (1, 1, 9, 4)" in str(caught.value)
    assert "rank=8" in str(caught.value)
    thaw(model, phase("all", adapt="lora", rank=4))


def test_scale_and_shift_of_a_network_without_channels_is_refused():
    inputs = keras.Input((*SIZE, 3))
    x = Own([keras.layers.UnitNormalization()])(inputs)
    x = keras.layers.Conv2DTranspose(3, 3)(x)
    model = attach_head(keras.Model(inputs, x), 3, seed=1)
    with pytest.raises(InputError, match="a convolution, a dense layer or a normalisation with channels to scale"):
        thaw(model, phase("all", adapt="ssf"))


@pytest.mark.parametrize("kind", ADAPTERS)
def test_the_certificate_says_that_kernels_stayed_until_adapters_were_merged(kind):
    model = thaw(make_separable(), phase(2, adapt=kind, rank=4 if kind == "lora" else None))
    values = {it.path: it.numpy() for it in model.weights}
    claim, before = make_claim(model), fingerprint(model)
    fit(model, 2)
    trained = fingerprint(model)
    entry = certify("p", claim, before, trained)
    kernels = {path for path in values if path.endswith("kernel") and "probabilities" not in path}
    assert kernels <= set(entry["frozen"])
    merge(model)
    whole_entry = certify_merge(entry, claim, trained, fingerprint(model))
    changed = {it.path for it in model.weights if not np.array_equal(values[it.path], it)}
    assert changed == set(whole_entry["moved"])
    assert not changed & set(whole_entry["frozen"])
    assert {*whole_entry["frozen"], *whole_entry["moved"], *whole_entry["adapted"]} == {it.path for it in model.weights}
    adapted = {path for path in changed if path in whole_entry["adapted"]}
    assert bool(adapted) == (kind != "bitfit")
    assert all(whole_entry["adapted"][path] == whole_entry["moved"][path][0] == before[path] for path in adapted)
    assert all(part == "thawed" for part in list(whole_entry["blocks"].values())[-3:])


def test_a_kernel_that_moves_while_it_is_adapted_is_named():
    model = thaw(make_separable(), phase(1, adapt="lora", rank=4))
    claim, before = make_claim(model), fingerprint(model)
    fit(model)
    layer = model.adapters.adapters[0].layer
    layer.kernel.assign_add(np.ones(layer.kernel.shape))
    with pytest.raises(RunFailed, match=f"{layer.name}/kernel"):
        certify("p", claim, before, fingerprint(model))


def test_a_merge_that_changes_anything_else_is_named():
    model = thaw(make_separable(), phase(1, adapt="lora", rank=4))
    claim, before = make_claim(model), fingerprint(model)
    fit(model)
    trained = fingerprint(model)
    entry = certify("p", claim, before, trained)
    merge(model)
    model.get_layer("last_norm").beta.assign_add(np.ones(80))
    with pytest.raises(RunFailed, match="last_norm/beta"):
        certify_merge(entry, claim, trained, fingerprint(model))


def test_every_normalisation_of_keras_with_channels_is_known():
    assert {it.__name__ for it in NORMALISATIONS} == {
        "BatchNormalization",
        "LayerNormalization",
        "GroupNormalization",
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gives_the_same_merged_and_unmerged(name, kind):
    keras.backend.clear_session()
    network = build(name, "none", (96, 96)).model
    if name == "VGG16" and kind == "lora":
        with pytest.raises(InputError, match="1x1 convolution's kernel"):
            thaw(attach_head(network, 3, seed=1), phase("all", adapt=kind))
        return
    check_merge(network, kind)


# Swin calls its mask of windows `mask`, which Keras takes for one of its own.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer 'stage_:UserWarning", "ignore:.*mask attached to it:UserWarning")
@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_image_backbone_of_keras_hub_gives_the_same_merged_and_unmerged(name, kind):
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)
    keras.backend.clear_session()
    keras.utils.set_random_seed(3)
    options = NETWORKS[name][0]
    size = options["image_shape"][:2]
    network = own.wrap(find_image_encoder(getattr(hub.models, name)(**options)), size, copied=False)
    if name in WITHOUT_MATRICES and kind == "lora":
        with pytest.raises(InputError, match="1x1 convolution's kernel"):
            thaw(attach_head(network, 3, seed=1), phase("all", adapt=kind))
        return
    check_merge(network, kind)


def check_merge(network, kind):
    """See that adapters of all layers begin at nothing, change the output, and leave it when they are merged."""
    # Statistics of few values would make a network in which rounding grows without bounds.
    images = np.random.RandomState(0).randint(0, 256, (8, *network.input_shape[1:])).astype("uint8")
    for weight in network.weights:
        if "layer_scale" in weight.path:  # ConvNeXt begins with 1e-6, which would hide what its blocks compute
            weight.assign(keras.ops.full_like(weight, 0.1))
    if norms := batch_norms([whole(network)]):
        reestimate_statistics(network, [images], norms)
    model = attach_head(network, 3, seed=1)
    before = network(images, training=False).numpy()
    thaw(model, phase("all", adapt=kind, rank=1 if kind == "lora" else None))
    np.testing.assert_array_equal(network(images, training=False), before)
    scatter(model.adapters, 0.01)
    for biases in (adapter.trained for adapter in model.adapters.adapters):
        for bias in biases:
            bias.assign_add(RNG.normal(0, 0.01, bias.shape))
    adapted = network(images, training=False).numpy()
    scale = np.abs(adapted).max()
    assert np.abs(adapted - before).max() > 1e-4 * scale
    # A step reaches every one of them: none stands where the network does not call it.
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(images, training=False)))
    trained = [variable.value for variable in model.adapters.trained]
    reached = [gradient is not None for gradient in tape.gradient(loss, trained)]
    assert all(reached), [it.path for it, known in zip(model.adapters.trained, reached, strict=True) if not known]
    merge(model)
    error, change = (np.abs(found - adapted).max() for found in (network(images, training=False), before))
    assert error < 1e-3 * change
