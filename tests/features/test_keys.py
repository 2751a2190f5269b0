"""The address of features: another one for everything that changes the numbers, the same one for everything else."""

import keras
import numpy as np
import pytest

from tlmed.cache import address
from tlmed.features import keys
from tlmed.features.engines import TensorFlow
from tlmed.features.keys import describe


def make(
    *, name="net", size=8, strides=1, epsilon=1e-3, activation="relu", policy="float32", late=False, more=False, seed=0
):
    """Return a small network whose weights are always the same numbers."""
    conv = {"activation": activation, "strides": strides, "dtype": policy}
    conv["kernel_initializer"] = keras.initializers.GlorotUniform(seed)
    conv["kernel_regularizer"] = keras.regularizers.L2(0.1) if seed else None
    norm = keras.layers.BatchNormalization(epsilon=epsilon, name="norm")
    squash = keras.layers.Activation("tanh", name="squash")
    inputs = keras.Input((size, size, 3), name="images")
    x = keras.layers.Rescaling(1 / 255, name="scale")(inputs)
    x = keras.layers.Conv2D(4, 3, name="conv", **conv)(x)
    for layer in (norm, squash) if late else (squash, norm):
        x = layer(x)
    x = keras.layers.Dropout(0.5, seed=seed, name="drop")(x)
    if more:
        x = keras.layers.ReLU(name="more")(x)
    model = keras.Model(inputs, x, name=name)
    random = np.random.RandomState(0)
    for weight in model.weights:
        weight.assign(random.uniform(0.5, 1, weight.shape))
    return model


def nudged(layer, weight):
    model = make()
    value = getattr(model.get_layer(layer), weight)
    numbers = value.numpy()
    numbers.flat[-1] = np.nextafter(numbers.flat[-1], np.float32(2))
    value.assign(numbers)
    return model


def up_to(layer):
    model = make()
    return keras.Model(model.input, model.get_layer(layer).output, name="net")


def thawed(*names):
    model = make()
    for layer in model.layers:
        layer.trainable = layer.name in names
    return model


def key(model=None, dtype="float32", batch_size=4, **changes):
    model = model or make()
    engine = TensorFlow(model, batch_size)
    for name, value in changes.items():
        assert hasattr(engine, name)
        setattr(engine, name, value)
    return address(describe(model, engine, dtype))


SAME = {
    "built again": make,
    "frozen": thawed,
    "partly frozen": lambda: thawed("norm"),
    "other name": lambda: make(name="another"),
    "other initial values and regularisation": lambda: make(seed=7),
}
OTHER = {
    "weight": lambda: key(nudged("conv", "kernel")),
    "moving statistic": lambda: key(nudged("norm", "moving_variance")),
    "strides": lambda: key(make(strides=2)),
    "epsilon": lambda: key(make(epsilon=1e-5)),
    "activation": lambda: key(make(activation="elu")),
    "policy": lambda: key(make(policy="mixed_bfloat16")),
    "order of layers": lambda: key(make(late=True)),
    "additional layer": lambda: key(make(more=True)),
    "output block": lambda: key(up_to("norm")),
    "input size": lambda: key(make(size=9)),
    "dtype": lambda: key(dtype="float16"),
    "engine": lambda: key(name="openvino"),
    "engine version": lambda: key(version="9.9"),
    "engine precision": lambda: key(precision="bfloat16"),
    "batch size": lambda: key(batch_size=5),
}
SURROUNDINGS = {
    "TensorFlow": ("tensorflow.__version__", "9.9"),
    "Keras": ("keras.__version__", "9.9"),
    "store format": ("tlmed.features.keys.FORMAT", 99),
    "machine": ("platform.machine", lambda: "pdp11"),
    "TensorFloat-32": ("tensorflow.config.experimental.tensor_float_32_execution_enabled", lambda: "changed"),
}


@pytest.mark.parametrize("build", SAME.values(), ids=SAME)
def test_what_concerns_training_alone_changes_no_address(build):
    assert key(build()) == key()


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_changes_the_numbers_changes_the_address(change):
    assert change() != key()


@pytest.mark.parametrize("change", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_what_the_network_runs_on_changes_the_address(monkeypatch, change):
    before = key()
    monkeypatch.setattr(*change)
    assert key() != before


def test_onednn_switched_off_changes_the_address(monkeypatch):
    before = key()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "another")
    assert key() != before


def test_another_processor_or_gpu_changes_the_address(monkeypatch):
    addresses = {key()}
    monkeypatch.setattr(keys, "describe_processor", lambda: {"name": "another one"})
    addresses.add(key())
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["a GPU"])
    for name in ("small", "large"):
        details = {"device_name": name}
        monkeypatch.setattr("tensorflow.config.experimental.get_device_details", lambda gpu, found=details: found)
        addresses.add(key())
    assert len(addresses) == 4


def test_an_address_is_the_name_of_a_folder():
    assert len(key()) == 64
    assert set(key()) <= set("0123456789abcdef")
