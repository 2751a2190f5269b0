"""Train LeNet5 on the handwritten digits that scikit-learn carries: the weights that tlmed calls "digits".

    python benchmarks/lenet5_digits.py --out lenet5_digits.weights.h5

The 1,797 digits of `load_digits` are written on white paper and enlarged from 8 x 8 to 32 x 32 pixels by tlmed's own
resizing. The first 1,347 train; the last 450 are looked at once, at the end. The file does not tell who wrote which
digit, but it goes writer by writer, so that a split in the middle of it asks for hands that were not seen, which a
shuffled one would not. Under a minute on two cores; another number of threads gives other bits.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from tlmed.backbones import applications, classic, digits, preprocessing, weight_packages
from tlmed.data.decode_and_resize import resize

TRAIN = 1347
EPOCHS, BATCH, RATE = 40, 32, 2e-3


def read() -> tuple[np.ndarray, np.ndarray]:
    """Return the digits, uint8 of shape (1797, 32, 32, 3), and what they are, in scikit-learn's order."""
    data = load_digits()
    return np.stack([resize(image, digits.IMAGE_SIZE) for image in digits.paper(data.images)]), data.target


def build() -> keras.Model:
    """Put LeNet5 with its top behind its preprocessing."""
    images = keras.Input((*digits.IMAGE_SIZE, 3))
    affine = applications.find("LeNet5").preprocessing
    return keras.Model(images, classic.LeNet5()(preprocessing.apply(affine, images)))


def augment(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shift each image by up to 3 pixels; what comes in is paper."""
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), constant_values=255)
    corners = random.integers(0, 7, (len(images), 2))
    moved = [image[y : y + 32, x : x + 32] for image, (y, x) in zip(padded, corners, strict=True)]
    return np.stack(moved)


def train(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Train with a rate that falls to zero along a cosine."""
    random = np.random.default_rng(0)
    steps = len(images) // BATCH
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    for _ in range(EPOCHS):
        for rows in np.split(random.permutation(len(images))[: steps * BATCH], steps):
            model.train_on_batch(augment(images[rows], random), labels[rows])


def main() -> None:
    """Train, write the weights, and print how well they read digits that they have not seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, help="a file that ends in .weights.h5")
    out = parser.parse_args().out
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    images, labels = read()
    model = build()
    train(model, images[:TRAIN], labels[:TRAIN])
    model.get_layer("lenet5").save_weights(out)
    for name, part in {"training": slice(TRAIN), "held out": slice(TRAIN, None)}.items():
        right = model.predict(images[part], batch_size=256, verbose=0).argmax(-1) == labels[part]
        print(f"{name}: {right.sum()} of {len(right)} right, {right.mean():.4f}")
    print(f"SHA-256 {weight_packages.sha256(out)}")


if __name__ == "__main__":
    main()
