import keras
import numpy as np
import pytest

from tests.training.test_training import IMAGES, LABELS, Losses, batches, make, phase
from tlmed.errors import InputError
from tlmed.heads.dense import attach_head
from tlmed.phases import thaw
from tlmed.training import Loop

STRENGTH, RATE = 0.3, 0.05


def pulled(**fields):
    """A network that has moved away from where it began."""
    model = make(phase())
    model.remember()
    random = np.random.RandomState(0)
    model.set_weights([weight + random.normal(scale=0.1, size=weight.shape) for weight in model.get_weights()])
    return thaw(model, phase(**{"optimizer": "sgd", "l2_sp": STRENGTH} | fields))


def test_a_step_goes_towards_the_pretrained_weights_by_the_gradient_of_the_distance():
    near, free = pulled(), pulled(l2_sp=0.0)
    start, head = near.start.backbone, len(near.start.backbone)
    for now, weights in ((near, free.get_weights()), (free, near.get_weights())):
        now.set_weights(weights)
    free.set_weights(near.get_weights())
    free_start = near.get_weights()
    for model in (near, free):
        model.train_on_batch(IMAGES[:8], LABELS[:8])
    for number, (one, other, before) in enumerate(zip(near.get_weights(), free.get_weights(), free_start, strict=True)):
        # d/dw of strength / 2 |w - w0|^2; the head has no pretrained weights.
        expected = RATE * STRENGTH * (before - start[number]) if number < head else 0
        np.testing.assert_allclose(other - one, expected, atol=1e-6)
        assert number >= head or np.abs(other - one).max() > 1e-4


def test_the_loop_counts_the_distance_as_fit_does_and_as_numpy():
    looped, fitted = pulled(), pulled()
    fitted.set_weights(looped.get_weights())
    fitted.start = looped.start
    thaw(fitted, fitted.phase)
    distance = sum(
        ((now - then) ** 2).sum()
        for now, then in zip(looped.parts.backbone.get_weights(), looped.start.backbone, strict=True)
    )
    assert float(sum(looped.losses)) == pytest.approx(STRENGTH / 2 * distance, rel=1e-5)
    ours, theirs = Losses(), Losses()
    Loop(looped, batches, 3).run(2, [ours])
    fitted.fit(batches(), steps_per_epoch=3, epochs=2, callbacks=[theirs], shuffle=False, verbose=0)
    np.testing.assert_allclose(ours.rows, theirs.rows, atol=1e-6)
    for one, other in zip(looped.weights, fitted.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_penalty_of_the_network_stays_beside_it_and_alone_after_it():
    inputs = keras.Input((8, 8, 3), name="images")
    layer = keras.layers.Conv2D(4, 3, strides=2, kernel_regularizer=keras.regularizers.L2(0.1))
    model = attach_head(keras.Model(inputs, layer(keras.layers.Rescaling(1 / 255)(inputs))), 3)
    model.remember()
    thaw(model, phase())
    own = float(sum(model.losses))
    for _ in range(2):
        thaw(model, phase(l2_sp=STRENGTH))
        assert float(sum(model.losses)) == pytest.approx(own, rel=1e-6)  # it has not moved yet
        layer.kernel.assign_add(np.full(layer.kernel.shape, 0.1))
        pull = STRENGTH / 2 * 0.01 * np.prod(layer.kernel.shape)
        assert float(sum(model.losses)) == pytest.approx(0.1 * (layer.kernel.numpy() ** 2).sum() + pull, rel=1e-4)
        layer.kernel.assign_sub(np.full(layer.kernel.shape, 0.1))
    thaw(model, phase())
    layer.kernel.assign_add(np.full(layer.kernel.shape, 0.1))
    assert float(sum(model.losses)) == pytest.approx(0.1 * (layer.kernel.numpy() ** 2).sum(), rel=1e-6)


def test_a_network_that_does_not_know_its_pretrained_weights_is_refused():
    with pytest.raises(InputError, match=r"call `remember\(\)` before the first phase. Received: l2_sp=0.1"):
        make(phase(l2_sp=0.1))
