import functools
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import tlmed
from tlmed.augmentation import make_augmentation
from tlmed.backbones import build
from tlmed.batch_statistics import reestimate_statistics
from tlmed.blocks import partition
from tlmed.errors import InputError
from tlmed.features import feature_model
from tlmed.frozen import Frozen, batch_norms, leaves, whole
from tlmed.heads.dense import attach_head, split_head
from tlmed.phases import Classifier, computing, learning_rates, recalibrate, seed_generators, thaw, trainer
from tlmed.recipe import Augment, Dense, Images, Phase, Recipe

SIZE = (32, 32)
IMAGES = np.random.RandomState(0).randint(0, 256, (6, *SIZE, 3)).astype("uint8")
LABELS = np.arange(6) % 3


def small_backbone():
    """Three blocks, each with what must not move when frozen: BatchNorm statistics and dropout."""
    inputs = keras.Input((*SIZE, 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    for i in range(1, 4):
        x = keras.layers.Conv2D(8 * i, 3, strides=2, padding="same", name=f"conv{i}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{i}")(x)
        x = keras.layers.Dropout(0.2, seed=i, name=f"drop{i}")(keras.layers.ReLU()(x))
    return keras.Model(inputs, x)


def make(name=None, augment=None, **head):
    backbone = build(name, "none", SIZE).model if name else small_backbone()
    reestimate_statistics(backbone, [IMAGES])
    return attach_head(backbone, 3, Dense(**head), augment, seed=1)


@functools.cache  # building takes longer than what is tested
def efficientnet():
    net = build("EfficientNetB0", "none", SIZE).model
    reestimate_statistics(net, [IMAGES])
    return net


class Own(keras.layers.Layer):
    """A layer that hands `training` on to what is inside it, as people write them."""

    def __init__(self, parts, **options):
        super().__init__(**options)
        self.parts = parts

    def build(self, shape):
        for part in self.parts:
            part.build(shape)
            shape = part.compute_output_shape(shape)
        super().build(shape)

    def call(self, inputs, training=None):
        for part in self.parts:
            inputs = part(inputs, training=training)
        return inputs


def wrap(parts, kind, shape=(*SIZE, 3)):
    """A network of layers that follow each other: flat, within a model or a layer, or within a model in a model."""
    if kind == "own":
        parts = [Own(parts, name="own")]
    if kind == "sequential":
        parts = [keras.Sequential(parts)]
    for _ in range({"nested": 1, "deep": 2}.get(kind, 0)):
        inner = keras.Input(shape)
        parts = [keras.Model(inner, functools.reduce(lambda x, part: part(x), parts, inner))]
    inputs = keras.Input(shape, name="images")
    return keras.Model(inputs, functools.reduce(lambda x, part: part(x), parts, inputs))


def phase(thaw=0, batch_norm="frozen", **fields):
    return Phase("p", thaw=thaw, epochs=1, learning_rate=1e-2, batch_norm=batch_norm, **fields)


def weights(layers):
    return {(layer.name, i): weight.numpy().copy() for layer in layers for i, weight in enumerate(layer.weights)}


def moved(before, layers):
    after = weights(layers)
    return {key for key in before if not np.array_equal(before[key], after[key])}


def fit(model, steps=1):
    model.run_eagerly = True  # one or two steps are not worth a trace
    for _ in range(steps):
        model.train_on_batch(IMAGES, LABELS)


# EfficientNetB0 has stochastic depth, which is what `prefix(x, training=False)` in a functional model fails on.
@pytest.mark.parametrize(
    ("name", "count"), [(None, 0), (None, 2), pytest.param("EfficientNetB0", 2, marks=pytest.mark.slow)]
)
def test_frozen_blocks_do_not_move_and_thawed_ones_do(name, count):
    model = make(name)
    thaw(model, phase(count))
    blocks = partition(model)
    kept, open_ = blocks[: len(blocks) - count], blocks[len(blocks) - count :]
    before = weights(model.layers)
    fit(model)
    changed = {layer for layer, _ in moved(before, model.layers)}
    assert not changed & {layer.name for block in kept for layer in block.layers}
    assert all(changed & {layer.name for layer in block.layers} for block in open_)
    assert "probabilities" in changed


def test_the_frozen_prefix_is_bitwise_the_same_in_training_and_inference():
    thawed = thaw(attach_head(efficientnet(), 3, seed=1), phase(1))
    prefix = thawed.route.frozen
    np.testing.assert_array_equal(prefix(IMAGES, training=True), prefix.net(IMAGES, training=False))
    suffix = thawed.route.suffix
    features = prefix(IMAGES)
    assert not np.array_equal(suffix(features, training=True), suffix(features, training=False))


def test_frozen_ignores_the_training_argument_of_a_model_around_it():
    net, inputs = efficientnet(), keras.Input((*SIZE, 3))
    around = keras.Model(inputs, Frozen(net)(inputs))
    before = weights(net.layers)
    np.testing.assert_array_equal(around(IMAGES, training=True), net(IMAGES, training=False))
    assert not moved(before, net.layers)


@pytest.mark.parametrize(
    ("policy", "scale_moves", "statistics_move"),
    [("frozen", False, False), ("affine", True, False), ("recalibrate", True, False), ("update", True, True)],
)
def test_batch_norm_of_thawed_blocks_follows_the_policy(policy, scale_moves, statistics_move):
    model = thaw(make(), phase(1, policy))
    norms = [layer for layer in partition(model)[-1].layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    before = weights(norms)
    fit(model, 2)
    indices = {index for _, index in moved(before, norms)}
    assert bool(indices & {0, 1}) == scale_moves
    assert bool(indices & {2, 3}) == statistics_move


@pytest.mark.parametrize("kind", ["nested", "deep", "sequential"])
@pytest.mark.parametrize("policy", ["frozen", "affine", "recalibrate", "update"])
def test_batch_norm_in_a_model_inside_the_backbone_follows_the_policy_as_in_a_flat_one(policy, kind):
    after = []
    for form in ("flat", kind):
        convs = [keras.layers.Conv2D(4, 3, strides=2, name=f"conv{i}") for i in (1, 2)]
        norms = [keras.layers.BatchNormalization(name=f"norm{i}") for i in (1, 2)]
        net = wrap([part for pair in zip(convs, norms, strict=True) for part in pair], form)
        random = np.random.RandomState(0)
        for layer in (*convs, *norms):
            layer.set_weights([random.uniform(0.1, 0.5, weight.shape) for weight in layer.weights])
        model = thaw(attach_head(net, 3, seed=1), phase("all", policy))
        before = [layer.get_weights() for layer in norms]
        fit(model, 2)
        after.append([value for layer in (*convs, *norms) for value in layer.get_weights()])
        moves = [not np.array_equal(*pair) for pair in zip(before[0], norms[0].get_weights(), strict=True)]
        assert moves == [policy != "frozen"] * 2 + [policy == "update"] * 2
    for one, other in zip(*after, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["frozen", "affine", "recalibrate", "update"])
def test_statistics_cannot_stay_within_the_code_of_a_layer_while_gamma_trains(policy):
    net = wrap([keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()], "own")
    model = attach_head(net, 3)
    if policy in ("frozen", "update"):
        thaw(model, phase("all", policy))
        return
    thaw(model, phase(0, policy))
    words = "must be 'frozen' or 'update' where a layer calls a BatchNorm in its own code, as Own 'own' does"
    with pytest.raises(InputError, match=f"`batch_norm` {words}. Received: batch_norm='{policy}' in phase 'p'"):
        thaw(model, phase("all", policy))


def test_statistics_stay_means_that_training_uses_them():
    backbone = keras.Model(*(lambda net: (net.inputs[0], net.get_layer("norm3").output))(small_backbone()))
    model = attach_head(backbone, 3)
    for layer in model.layers:
        layer.rate = 0  # no dropout: what differs is BatchNorm's doing
    thaw(model, phase("all", "affine"))
    np.testing.assert_allclose(model(IMAGES, training=True), model(IMAGES, training=False), atol=1e-6)
    thaw(model, phase("all", "update"))
    assert not np.allclose(model(IMAGES, training=True), model(IMAGES, training=False), atol=1e-3)


@pytest.mark.slow
def test_moving_statistics_follow_within_the_epochs_of_a_small_data_set():
    model = make()
    norm = model.get_layer("norm1")
    norm.momentum = 0.999  # as in MobileNetV2: made for millions of steps
    batch_mean = norm.moving_mean.numpy()
    norm.moving_mean.assign(batch_mean + 10)
    thaw(model, Phase("p", "all", 1, 1e-9, batch_norm="update"))
    fit(model, 60)
    np.testing.assert_allclose(norm.moving_mean, batch_mean, atol=0.05)


def test_the_optimizer_is_fresh_and_each_phase_trains_what_it_thaws():
    model = make()
    counts = []
    for count in (0, 1, "all", 0):
        thaw(model, phase(count, "affine"))
        assert int(model.optimizer.iterations) == 0
        fit(model)
        counts.append(len(model.trainable_variables))
    assert counts[0] == counts[3] == 2
    assert counts[0] < counts[1] < counts[2]


def test_thaw_returns_the_model_itself():
    model = make()
    assert thaw(model, phase(1)) is model


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(phase(4), "from 0 to 3"), (phase(-1), "thaw=-1"), (Phase("p", 0, 1, 1e-3, batch_norm="no"), "batch_norm='no'")],
)
def test_a_phase_that_cannot_be_is_an_input_error(wrong, words):
    with pytest.raises(InputError, match="Received") as caught:
        thaw(make(), wrong)
    assert words in str(caught.value)


def test_a_plain_model_is_refused():
    with pytest.raises(TypeError, match="Classifier"):
        thaw(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), phase())


def test_dropout_and_augmentation_are_the_same_again_for_the_same_phase_and_seed():
    model = make(dropout=0.5, augment=make_augmentation(Augment("both", 0.2, 0.2, 0.2)))

    def draw(name, seed=1):
        model.seed = seed
        thaw(model, Phase(name, 0, 1, 1e-3))
        return model(IMAGES, training=True).numpy()

    first = draw("a")
    np.testing.assert_array_equal(draw("a"), first)
    assert not np.allclose(draw("b"), first)
    assert not np.allclose(draw("a", seed=2), first)


def test_a_saved_classifier_loads_in_plain_keras_without_tlmed(tmp_path):
    model = thaw(make(dropout=0.2, units=(8,)), phase("all", "affine", block_decay=0.5))
    fit(model)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", IMAGES)
    code = (
        "import sys, warnings; warnings.simplefilter('error'); sys.modules['tlmed'] = None; import keras, numpy as np\n"
        "m = keras.saving.load_model(sys.argv[1] + '/model.keras', safe_mode=True)\n"
        "m.run_eagerly = True\n"  # as in `fit`
        "images = np.load(sys.argv[1] + '/images.npy')\n"
        "np.save(sys.argv[1] + '/out.npy', m.predict(images, verbose=0))\n"
        "print(*m.evaluate(images, np.arange(6) % 3, verbose=0), *m.metrics_names)\n"
        "m.fit(images, np.arange(6) % 3, verbose=0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), model.predict(IMAGES, verbose=0), atol=1e-6)
    loss, accuracy = map(float, done.stdout.split()[:2])
    assert [loss, accuracy] == pytest.approx(model.evaluate(IMAGES, LABELS, verbose=0), abs=1e-5)


def fit_and_see_norms(model):
    """Train a step; return which parts of BatchNorm moved in any layer."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = {weight.path: weight.numpy() for norm in norms for weight in norm.weights}
    model.run_eagerly = True  # as in `fit`
    model.fit(IMAGES, LABELS, verbose=0)
    after = {weight.path: weight.numpy() for norm in norms for weight in norm.weights}
    return {path.rpartition("/")[2] for path in before if not np.array_equal(before[path], after[path])}


ALL_PARTS = {"gamma", "beta", "moving_mean", "moving_variance"}


@pytest.mark.parametrize(("policy", "moving"), [("frozen", set()), ("affine", ALL_PARTS), ("recalibrate", ALL_PARTS)])
def test_what_plain_keras_makes_of_batch_norm_is_what_the_docs_say(policy, moving, tmp_path):
    model = thaw(make(), phase("all", policy))
    model.save(tmp_path / "model.keras")
    assert fit_and_see_norms(keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)) == moving


def test_training_goes_on_from_a_saved_network_by_the_lines_of_the_docs(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "api.md").read_text()
    section = page.split("## Going on with `fit` in plain Keras")[1]
    freeze, go_on = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    recipe = Recipe(
        data=Images("x", image_size=(32, 32)),
        backbone="MobileNet",
        weights="none",
        phases=(Phase("p", 2, 1, 1e-3, batch_norm="affine"),),
    )
    trained = recipe.build(3)
    fit(trained)
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    names = {"loaded": loaded, "recipe": recipe, "keras": keras, "tlmed": tlmed}
    exec(go_on, names)
    np.testing.assert_array_equal(names["model"](IMAGES, training=False), loaded(IMAGES, training=False))
    assert fit_and_see_norms(names["model"]) == {"gamma", "beta"}
    exec(freeze, names)
    assert fit_and_see_norms(loaded) == set()


def test_a_saved_classifier_is_no_larger_than_its_weights(tmp_path):
    model = thaw(attach_head(build("CifarNet", "none", SIZE).model, 3), phase("all"))
    model.save(tmp_path / "compiled.keras")
    model.plain().save(tmp_path / "plain.keras")
    compiled, plain = ((tmp_path / name).stat().st_size for name in ("compiled.keras", "plain.keras"))
    assert compiled < plain + 10_000


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_one_hot_labels_are_refused_in_terms_of_labels(method):
    model = thaw(make(), phase())
    with pytest.raises(InputError, match=r"0 to 2; of one-hot rows, numpy\.argmax.* of shape \(.*, 3\)"):
        getattr(model, method)(IMAGES, np.eye(3)[LABELS], verbose=0)
    model.fit(IMAGES, LABELS[:, None], verbose=0)  # a column of numbers is as good as a row


@pytest.mark.parametrize("deterministic", [True, False])
def test_keras_uses_no_xla_where_operations_are_deterministic(deterministic, monkeypatch):
    # On a single GPU Keras would; it decides by the devices, and before determinism is asked for.
    monkeypatch.setattr("tlmed.replicas.is_op_determinism_enabled", lambda: deterministic)
    monkeypatch.setattr(keras.Model, "_resolve_auto_jit_compile", lambda model: True)
    model = thaw(make(), phase(1))
    compiled = [model, trainer(model), model.plain(), feature_model(model.parts.backbone), *split_head(model.plain())]
    assert [each.jit_compile for each in compiled] == [not deterministic] * len(compiled)


@keras.saving.register_keras_serializable("tests")
class Noise(keras.layers.Layer):
    """A layer of a user's own that draws by a generator of its own name, beside a layer of its own."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner, self.dice = keras.layers.Dropout(0.5, seed=1), keras.random.SeedGenerator(2)

    def call(self, inputs, training=None):
        noise = keras.random.normal(keras.ops.shape(inputs), seed=self.dice) if training else 0.0
        return self.inner(inputs, training=training) + noise


def test_a_phase_draws_the_same_whatever_was_trained_before_it():
    inputs = keras.Input((*SIZE, 3), name="images")
    x = Noise(name="noise")(keras.layers.Conv2D(4, 3, strides=4, name="conv")(inputs))
    model = thaw(attach_head(keras.Model(inputs, x), 3), phase("all"))
    before = [generator.state.numpy().tolist() for _, generator in seed_generators(model.layers)]
    fit(model)
    moved = [generator.state.numpy().tolist() for _, generator in seed_generators(model.layers)]
    assert len(before) == 2
    assert all(one != other for one, other in zip(before, moved, strict=True))
    thaw(model, phase("all"))
    assert [generator.state.numpy().tolist() for _, generator in seed_generators(model.layers)] == before


def test_random_weights_are_dead_until_their_statistics_are_reestimated():
    net = build("MobileNetV2", "none", SIZE).model
    images = np.random.RandomState(1).randint(0, 256, (64, *SIZE, 3)).astype("uint8")
    spread = net(images, training=False).numpy().std(axis=0).mean()
    assert reestimate_statistics(net, [images[:32], images[32:]]) == 64
    assert spread < 1e-6
    assert net(images, training=False).numpy().std(axis=0).mean() > 0.05


def test_reestimated_statistics_are_those_of_all_images():
    inputs = keras.Input((4, 4, 3))
    net = keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.9)(inputs))
    images = np.random.RandomState(2).uniform(0, 255, (10, 4, 4, 3)).astype("float32")
    reestimate_statistics(net, [images[:7], images[7:]])
    norm = net.layers[-1]
    np.testing.assert_allclose(norm.moving_mean, images.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, images.var((0, 1, 2)), rtol=1e-4)
    assert norm.momentum == 0.9


@pytest.mark.parametrize("kind", ["flat", "nested", "deep", "sequential", "own"])
def test_statistics_are_estimated_with_all_other_layers_as_in_inference(kind):
    first, other, last = (keras.layers.BatchNormalization(name=name) for name in ("first", "other", "last"))
    drop, noise = keras.layers.Dropout(0.7, seed=0), keras.layers.GaussianNoise(0.5, seed=1)
    net = wrap([keras.layers.Rescaling(1 / 50, -3), drop, first, noise, other, drop, last], kind)
    images = np.random.RandomState(2).uniform(0, 255, (10, *SIZE, 3)).astype("float32")
    assert reestimate_statistics(net, [images], [first, last]) == 10
    values = images / 50 - 3
    np.testing.assert_allclose(first.moving_mean, values.mean((0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(first.moving_variance, values.var((0, 1, 2)), rtol=1e-3)
    # The last one gets what the first has normalised, and the one between keeps its mean 0 and variance 1.
    np.testing.assert_array_equal([other.moving_mean, other.moving_variance], [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(last.moving_mean, np.zeros(3), atol=1e-4)
    np.testing.assert_allclose(last.moving_variance, np.ones(3), atol=2e-3)


def twice(nested):
    """A network that uses one BatchNorm at two places, whose values differ in mean, spread and number of places."""
    norm, inputs = keras.layers.BatchNormalization(name="norm", momentum=0.9), keras.Input((4, 4, 3))
    if nested:
        inner = keras.Input((None, None, 3))
        norm = keras.Model(inner, norm(inner))
    first = norm(inputs)
    second = keras.layers.Rescaling(4.0, 5.0)(keras.layers.MaxPooling2D(2)(first))
    return keras.Model(inputs, norm(second))


@pytest.mark.parametrize("nested", [False, True])
def test_a_batch_norm_that_is_used_twice_gets_the_statistics_of_both_uses(nested):
    net = twice(nested)
    (norm,) = batch_norms([whole(net)])
    images = np.random.RandomState(2).uniform(0, 255, (10, 4, 4, 3)).astype("float32")
    # By hand: the first use normalises by its batch's own statistics, and the second gets what comes of that.
    normal = (images - images.mean((0, 1, 2))) / np.sqrt(images.var((0, 1, 2)) + norm.epsilon)
    pooled = 4 * normal.reshape(10, 2, 2, 2, 2, 3).max((2, 4)) + 5
    means = np.stack([values.mean((0, 1, 2)) for values in (images, pooled)])
    inner = np.stack([values.var((0, 1, 2)) for values in (images, pooled)])
    assert reestimate_statistics(net, [images]) == 10
    np.testing.assert_allclose(norm.moving_mean, means.mean(0), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, inner.mean(0) + means.var(0), rtol=1e-4)
    assert (norm.momentum, "call" in vars(norm)) == (0.9, False)
    # Of two batches each use of each counts by its images.
    pieces = []
    for batch in (images[:7], images[7:]):
        reestimate_statistics(net, [batch])
        pieces.append((len(batch) / 10, norm.moving_mean.numpy(), norm.moving_variance.numpy()))
    reestimate_statistics(net, [images[:7], images[7:]])
    mean = sum(share * row for share, row, _ in pieces)
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-4)
    whole_variance = sum(share * (other + (row - mean) ** 2) for share, row, other in pieces)
    np.testing.assert_allclose(norm.moving_variance, whole_variance, rtol=1e-4)


def test_batches_that_fail_leave_a_batch_norm_as_it_was():
    net = twice(nested=False)
    norm = net.get_layer("norm")
    norm.trainable = False

    def broken():
        raise OSError("gone")
        yield

    with pytest.raises(OSError, match="gone"):
        reestimate_statistics(net, broken())
    assert (norm.trainable, norm.momentum, "call" in vars(norm)) == (False, 0.9, False)


def test_batches_in_0_to_1_are_refused():
    net = build("MobileNetV2", "none", SIZE).model
    images = np.random.RandomState(0).randint(0, 256, (4, *SIZE, 3)).astype("float32")
    with pytest.raises(InputError, match=r"`batches` must be images, RGB in 0\.\.255.*numbers from 0 to 1 in 4 images"):
        reestimate_statistics(net, iter([images, images / 255]))


def test_a_network_without_batch_norm_has_nothing_to_reestimate():
    assert reestimate_statistics(build("VGG16", "none", SIZE).model, iter(())) == 0


def test_the_head_is_decided_by_the_seed():
    backbone = small_backbone()
    kernels = [attach_head(backbone, 3, seed=seed).get_layer("probabilities").kernel.numpy() for seed in (0, 0, 1)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_a_classifier_keeps_the_plain_layers():
    model = thaw(make(), phase(2))
    assert isinstance(model, Classifier)
    assert [layer.name for layer in model.layers][-2:] == ["pool", "probabilities"]
    assert model.get_layer("conv2").output.shape == (None, 8, 8, 16)
    assert not any(isinstance(layer, Frozen) for layer in model.layers)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "nadam"])
def test_each_block_has_its_own_learning_rate_from_the_head_towards_the_input(optimizer):
    model = thaw(make(), phase("all", "affine", block_decay=0.4, optimizer=optimizer))
    rates = learning_rates(partition(model), model.phase)
    assert rates == pytest.approx({"head": 1e-2, "block3": 4e-3, "block2": 1.6e-3, "block1": 6.4e-4})
    blocks = {block.name: block.layers for block in partition(model)} | {"head": model.head}
    trained = {name: [w for layer in layers for w in layer.trainable_weights] for name, layers in blocks.items()}
    before = {name: [weight.numpy() for weight in weights] for name, weights in trained.items()}
    fit(model)
    for name, weights in trained.items():
        steps = [
            np.abs(w.numpy() - b) / (1 + (optimizer == "adamw") * 0.004 * np.abs(b))
            for w, b in zip(weights, before[name], strict=True)
        ]
        # Adam's first step is the rate itself, whatever the gradient; Nadam's is 1.06 of it.
        assert max(step.max() for step in steps) == pytest.approx(
            rates[name] * (1.0628 if optimizer == "nadam" else 1), rel=0.01
        )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weight_decay_leaves_biases_and_norms_as_they_are_to_the_bit(optimizer):
    decayed, plain = (
        thaw(make(), phase("all", "affine", optimizer=optimizer, weight_decay=decay)) for decay in (0.5, None)
    )
    random = np.random.RandomState(0)
    plain.set_weights([value + random.uniform(0.1, 0.2, value.shape) for value in plain.get_weights()])
    before = plain.get_weights()
    decayed.set_weights(before)
    fit(decayed)
    fit(plain)
    kinds = {"kernel": 0, "bias": 0, "gamma": 0, "beta": 0}
    for one, other, start in zip(decayed.weights, plain.weights, before, strict=True):
        if not one.trainable:
            continue
        kinds[one.name] += 1
        if one.name == "kernel":
            np.testing.assert_allclose(one, other - 1e-2 * 0.5 * start, atol=1e-6)
        else:
            np.testing.assert_array_equal(one, other)
            assert not np.array_equal(one, start)
    assert kinds == {"kernel": 4, "bias": 4, "gamma": 3, "beta": 3}


def test_scaled_gradients_would_not_do_what_rates_do():
    model = thaw(make(), phase("all", block_decay=0.1, optimizer="sgd"))
    assert type(model.optimizer).__mro__[1] is keras.optimizers.SGD
    assert type(thaw(model, phase("all")).optimizer) is keras.optimizers.Adam


def test_layers_are_thawed_one_at_a_time():
    model = thaw(make("VGG16"), phase(2, unit="layer"))
    assert [layer.name for layer in model.layers if layer.trainable and layer.weights] == [
        *("block5_conv2", "block5_conv3"),
        "probabilities",
    ]


def test_a_phase_from_the_pretrained_weights_has_them_again_and_the_trained_head():
    model = make()
    model.remember()
    start = model.parts.backbone.get_weights()
    thaw(model, phase(0))
    fit(model)
    head = model.get_layer("probabilities").get_weights()
    for name in ("a", "b"):
        thaw(model, Phase(name, "all", 1, 1e-2, batch_norm="update", start="pretrained"))
        for now, then in zip(model.parts.backbone.get_weights(), start, strict=True):
            np.testing.assert_array_equal(now, then)
        for now, then in zip(model.get_layer("probabilities").get_weights(), head, strict=True):
            np.testing.assert_array_equal(now, then)
        fit(model)
        assert not np.array_equal(model.get_layer("conv1").get_weights()[0], start[0])


def test_a_network_that_remembers_nothing_cannot_go_back():
    with pytest.raises(InputError, match="remember"):
        thaw(make(), Phase("p", 1, 1, 1e-2, start="pretrained"))


def test_recalibration_brings_new_statistics_to_what_moved():
    model = thaw(make(), phase("all", "recalibrate"))
    fit(model, 3)
    recalibrate(model, [IMAGES[:4], IMAGES[4:]])
    norm = model.get_layer("norm1")
    inputs = keras.Model(model.inputs[0], norm.input)(IMAGES.astype("float32")).numpy()
    np.testing.assert_allclose(norm.moving_mean, inputs.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, inputs.var((0, 1, 2)), rtol=1e-3)


class Vector(keras.Model):
    """A subclassed backbone, which has no graph to cut."""

    def __init__(self):
        super().__init__(name="vector")
        self.embed = keras.layers.Dense(4, name="embed")

    def call(self, images):
        return self.embed(keras.ops.reshape(images, (-1, SIZE[0] * SIZE[1] * 3)))


def test_what_cannot_be_cut_is_thawed_as_a_whole_or_not_at_all():
    images = keras.Input((*SIZE, 3))
    model = attach_head(keras.Model(images, Vector()(images), name="mine"), 3)
    with pytest.raises(InputError, match="'all' for mine, which cannot be cut"):
        thaw(model, phase(1))
    assert len(thaw(model, phase(0)).trainable_variables) == 2
    assert len(thaw(model, phase("all")).trainable_variables) == 4
    fit(model)


def test_a_backbone_computes_in_half_precision_inside_the_block_only():
    model = thaw(make(), phase("all"))
    whole = model.plain().predict(IMAGES, verbose=0)
    with computing(model, "bfloat16"):
        rounded = model.plain().predict(IMAGES, verbose=0)
        assert {str(layer.compute_dtype) for layer in model.head if layer.weights} == {"float32"}
        assert {layer.compute_dtype for layer in leaves(model.parts.backbone.layers) if layer.weights} == {"bfloat16"}
        fit(model)
    assert rounded.dtype == np.float32
    assert 1e-5 < np.abs(rounded - whole).max() < 0.05
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert {layer.compute_dtype for layer in leaves(model.layers)} == {"float32"}
    after = model.plain().predict(IMAGES, verbose=0)
    np.testing.assert_allclose(after, model(IMAGES, training=False), atol=1e-6)
    assert "bfloat16" not in str(model.plain().get_config())


def test_half_precision_ends_with_an_error_inside_the_block():
    model = thaw(make(), phase("all"))
    with pytest.raises(KeyboardInterrupt), computing(model, "bfloat16"):
        raise KeyboardInterrupt
    assert {layer.compute_dtype for layer in leaves(model.layers)} == {"float32"}
