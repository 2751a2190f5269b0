import threading

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.training.test_training import IMAGES, LABELS, Losses, batches, make, phase
from tlmed.heads.dense import attach_head
from tlmed.losses import PLAIN, make_focal_loss, masked_entropy
from tlmed.mixing import Mixup, find_mixup
from tlmed.phases import thaw, trainer
from tlmed.training import Loop

WEIGHTS = {0: 0.5, 1: 1.0, 2: 3.0}


def softmax_loss(scores, labels):
    return -np.log(scores[np.arange(len(labels)), labels])


def test_elements_are_mixed_with_a_permutation_of_the_batch_and_only_while_training():
    layer, values = Mixup(0.4), np.random.RandomState(0).normal(size=(9, 4, 3)).astype("float32")
    np.testing.assert_array_equal(layer(values, training=False), values)
    mixed = layer([values, 2 * values], training=True)
    partners, shares = layer.pairs.partners.numpy(), layer.pairs.shares.numpy()
    assert sorted(partners) == list(range(9))
    for i in range(9):
        expected = shares[i] * values[i] + (1 - shares[i]) * values[partners[i]]
        np.testing.assert_allclose(mixed[0][i], expected, atol=1e-6)
        np.testing.assert_allclose(mixed[1][i], 2 * expected, atol=1e-6)


def test_replicas_that_take_turns_have_pairs_of_their_own():
    """Under a mirrored strategy each replica has a thread, and another one goes on wherever they add something up."""
    layer, other = Mixup(0.4), []
    layer(np.zeros((9, 1), "float32"), training=True)

    def run():
        layer(np.zeros((4, 1), "float32"), training=True)
        other.append(layer.pairs)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert (len(layer.pairs.shares), len(other[0].shares)) == (9, 4)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0])
def test_shares_have_the_beta_distribution_its_halves_laid_together(alpha):
    layer = Mixup(alpha)
    layer.generator.state.assign([7, 0])
    layer(np.zeros((4000, 1), "float32"), training=True)
    shares = layer.pairs.shares.numpy()
    beta = scipy.stats.beta(alpha, alpha)
    for bound in (0.6, 0.8, 0.9, 0.99, 0.9999):
        expected = beta.cdf(bound) - beta.cdf(1 - bound)
        assert np.mean(shares <= bound) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 4000))


def test_a_tiny_alpha_mixes_nothing_and_gives_numbers():
    layer = Mixup(1e-3)
    layer(np.zeros((500, 1), "float32"), training=True)
    assert np.isfinite(layer.pairs.shares).all()
    assert np.mean(layer.pairs.shares > 0.999) > 0.95


def test_a_step_is_that_of_mixed_images_and_mixed_losses():
    """The gradient by brute force: of the network without mixup, on images that NumPy mixed."""
    mixed, plain = make(phase(mixup=0.5, optimizer="sgd")), make(phase(optimizer="sgd"))
    plain.set_weights(mixed.get_weights())
    images, labels = IMAGES[:8], LABELS[:8]
    mixed.run_eagerly = True
    mixed.train_on_batch(images, labels, class_weight=WEIGHTS)
    pairs = find_mixup(mixed).pairs
    shares, partners = pairs.shares.numpy(), pairs.partners.numpy()
    assert shares.min() < 0.95
    by_hand = shares[:, None, None, None] * images + (1 - shares)[:, None, None, None] * images[partners]
    with tf.GradientTape() as tape:
        scores = plain(by_hand, training=True)
        entropy = keras.losses.sparse_categorical_crossentropy
        factors = np.array([WEIGHTS[label] for label in labels], "float32")
        own = shares * factors * entropy(labels, scores)
        other = (1 - shares) * factors[partners] * entropy(labels[partners], scores)
        loss = tf.reduce_mean(own + other)
    gradients = tape.gradient(loss, plain.trainable_weights)
    for weight, start, gradient in zip(mixed.trainable_weights, plain.trainable_weights, gradients, strict=True):
        np.testing.assert_allclose(weight, start - 0.05 * gradient, atol=1e-6)


FOCAL = make_focal_loss(2.0)


# Each pair of settings meets once.
@pytest.mark.parametrize(
    ("smoothing", "loss", "class_weight"),
    [(0, PLAIN, None), (0, FOCAL, WEIGHTS), (0.2, PLAIN, WEIGHTS), (0.2, FOCAL, None)],
)
def test_the_loop_mixes_as_fit_does(smoothing, loss, class_weight):
    fields = {"mixup": 0.5, "label_smoothing": smoothing}
    looped, fitted = (make(phase(optimizer="sgd", **fields), loss) for _ in range(2))
    looped.set_weights(fitted.get_weights())
    ours, theirs = Losses(), Losses()
    Loop(looped, batches, 3, class_weight=class_weight).run(2, [ours])
    fitted.fit(
        batches(), steps_per_epoch=3, epochs=2, callbacks=[theirs], shuffle=False, verbose=0, class_weight=class_weight
    )
    np.testing.assert_allclose(ours.rows, theirs.rows, atol=1e-6)
    for one, other in zip(looped.weights, fitted.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def make_labels(phase):
    inputs = keras.Input((8, 8, 3), name="images")
    features = keras.layers.Conv2D(4, 3, strides=2)(keras.layers.Rescaling(1 / 255)(inputs))
    model = attach_head(keras.Model(inputs, features), 3, several=True)
    model.training_loss = masked_entropy
    return thaw(model, phase)


@pytest.mark.parametrize("class_weight", [None, {0: (0.5, 2.0), 1: (1.0, 1.0), 2: (1.0, 3.0)}])
def test_several_labels_are_mixed_each_where_it_is_known(class_weight):
    model = make_labels(phase(mixup=0.5, optimizer="sgd"))
    random = np.random.RandomState(1)
    labels = random.choice([-1, 0, 1], (24, 3)).astype("int64")
    data = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(24).repeat()
    rows = Losses()
    tf.config.run_functions_eagerly(True)
    try:
        before = model.get_weights()
        Loop(model, lambda begin, share: data, 1, class_weight=class_weight).run(1, [rows])
    finally:
        tf.config.run_functions_eagerly(False)
    pairs = find_mixup(model).pairs
    shares, partners = pairs.shares.numpy(), pairs.partners.numpy()
    twin = make_labels(phase())
    twin.set_weights(before)
    mixed = shares[:, None, None, None] * IMAGES + (1 - shares)[:, None, None, None] * IMAGES[partners]
    scores = twin(mixed, training=False).numpy().astype("float64")
    factors = np.ones((3, 2)) if class_weight is None else np.array([class_weight[i] for i in range(3)])

    def add_up(labels):
        likely = np.where(labels == 1, scores, 1 - scores)
        weights = np.where(labels == 1, factors[:, 1], factors[:, 0])
        return (-np.log(likely) * weights * (labels != -1)).sum(axis=1)

    expected = (shares * add_up(labels) + (1 - shares) * add_up(labels[partners])).sum() / (labels != -1).sum()
    known = (labels != -1).any(axis=1).all()
    assert known  # an image without a known label would not count in the loss that is shown
    assert rows.rows[0][0] == pytest.approx(expected, abs=1e-5)


def test_evaluation_mixes_nothing():
    model = make(phase(mixup=0.5))
    model.fit(IMAGES, LABELS, batch_size=8, epochs=1, verbose=0, validation_data=(IMAGES, LABELS))
    loss, _ = model.evaluate(IMAGES, LABELS, batch_size=24, verbose=0)
    assert loss == pytest.approx(softmax_loss(model.predict(IMAGES, verbose=0), LABELS).mean(), abs=1e-5)


def test_what_frozen_blocks_give_is_mixed_with_or_without_features():
    """A head trains alike on images and on their features: both are mixed after the frozen blocks."""
    models = [make(phase(thaw=0, mixup=0.5, optimizer="sgd")) for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    features = models[1].route.frozen(IMAGES)
    feed = tf.data.Dataset.from_tensor_slices((features, LABELS)).batch(8).repeat()
    Loop(models[0], batches, 3).run(2)
    Loop(trainer(models[1]), lambda begin, share: feed, 3).run(2)
    fitted = thaw(make(phase(thaw=0)), phase(thaw=0, mixup=0.5, optimizer="sgd"))
    start = models[0].get_weights()
    for one, other in zip(start, models[1].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    trainer(fitted).fit(features, LABELS, batch_size=8, verbose=0)


def test_the_network_that_is_saved_knows_nothing_of_it(tmp_path):
    model = make(phase(mixup=0.5, label_smoothing=0.1))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert not any(isinstance(layer, Mixup) for layer in loaded._flatten_layers())
    np.testing.assert_allclose(loaded.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0), atol=1e-6)


def test_the_next_phase_mixes_only_if_it_says_so():
    model = thaw(make(phase(mixup=0.5)), phase())
    assert find_mixup(model) is None
    assert find_mixup(thaw(model, phase(mixup=0.1))).alpha == 0.1
