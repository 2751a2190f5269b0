"""The address of feature rows: a digest of everything that decides the numbers, except the image itself."""

import hashlib
import json
import os
import platform

import keras
import numpy as np
import tensorflow as tf

from tlmed.cache.row_files import FORMAT
from tlmed.environment.description import count_threads
from tlmed.environment.processor import describe_processor
from tlmed.features.engines import Engine

# Parts of a layer's configuration that concern training only. Initialisers may be left out, because the values of the
# weights themselves are part of the address.
_OF_TRAINING = ("trainable", "seed")
_ENDINGS_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")


def describe(prefix: keras.Model, engine: Engine, dtype: str) -> dict:
    """Return everything that decides the features of a network; if anything here differs, features may differ.

    Args:
        prefix: From raw images to features; the present values of its weights count.
        engine: What runs it.
        dtype: Of the stored numbers.
    """
    return {
        "format": FORMAT,
        "graph": digest_graph(prefix),
        "weights": digest_weights(prefix),
        "input": list(prefix.input_shape[1:]),
        "dtype": dtype,
        "engine": engine.name,
        "engine_version": engine.version,
        "engine_precision": engine.precision,
        # Libraries choose their code by the shape of a batch, which can move the last bits; so do threads below.
        "batch_size": engine.batch_size,
        "share": engine.share,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "device": _name_device(),
        "threads": count_threads()["intra_op"],
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "tensor_float_32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def _name_device() -> str:
    """Name the kind of GPU, or of processor, that the numbers come from."""
    if gpus := tf.config.list_physical_devices("GPU"):
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    return f"{platform.machine()} {describe_processor()['name']}"


def digest_weights(model: keras.Model) -> str:
    """Return the SHA-256 of the values of all weights, statistics included, with their shapes and types."""
    found = hashlib.sha256()
    for weight in model.weights:
        value = np.ascontiguousarray(weight.numpy())
        found.update(f"{value.dtype}{value.shape}".encode())
        found.update(value.tobytes())
    return found.hexdigest()


def digest_graph(model: keras.Model) -> str:
    """Return the SHA-256 of what a functional model computes: its layers, their settings and how they are joined.

    The model's own name and what concerns training alone do not count.
    """
    config = keras.saving.serialize_keras_object(model)["config"]  # not the weights, which `digest_weights` covers
    return hashlib.sha256(json.dumps({**_bare(config), "name": None}, sort_keys=True).encode()).hexdigest()


def _bare(config):
    if isinstance(config, dict):
        return {
            name: _bare(value)
            for name, value in config.items()
            if name not in _OF_TRAINING and not str(name).endswith(_ENDINGS_OF_TRAINING)
        }
    if isinstance(config, list | tuple):
        return [_bare(value) for value in config]
    return config
