"""Train the same network by hand in plain Keras and through tlmed, side by side in one run.

    python benchmarks/plain_keras.py --data busi/ --epochs 5
    python benchmarks/plain_keras.py --data busi/ --epochs 3 --thaw all

Plain Keras is what a tutorial does: `image_dataset_from_directory` for the same training and validation images,
a frozen backbone (or a thawed one, BatchNorm frozen on both sides), `fit`. Both sides take turns in processes of
their own, so that a change of the machine's speed meets both. Prints the seconds of each epoch but the first,
which holds the tracing, and the ratio of the medians of every pair; scores stand beside the times.
"""

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE, BATCH = (224, 224), 32


def train_plain(folder: Path, weights: Path, epochs: int, thaw: str) -> dict:
    """Train in plain Keras; tlmed's weights are taken from a file, so that both start from the same."""
    import time

    import keras

    parts = {
        split: keras.utils.image_dataset_from_directory(
            folder / split, image_size=SIZE, batch_size=BATCH, shuffle=split == "train", seed=0
        ).prefetch(2)
        for split in ("train", "val")
    }
    features = keras.saving.load_model(weights)
    features.trainable = thaw == "all"
    for layer in features.layers:  # `training=False` below does not survive `fit`; this does
        layer.trainable &= not isinstance(layer, keras.layers.BatchNormalization)
    inputs = keras.Input((*SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(features(inputs, training=False))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Dropout(0.2)(x))
    model = keras.Model(inputs, outputs)
    rate = 1e-4 if thaw == "all" else 1e-3
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    marks = [time.perf_counter()]
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: marks.append(time.perf_counter()))
    history = model.fit(parts["train"], validation_data=parts["val"], epochs=epochs, verbose=0, callbacks=[clock])
    seconds = [after - before for before, after in itertools.pairwise(marks)]
    return {"seconds": seconds, "val_accuracy": history.history["val_accuracy"][-1]}


def train_tlmed(source: Path, out: Path, epochs: int, thaw: str) -> dict:
    """Train through tlmed's command line."""
    from tlmed.rundir import read_csv

    recipe = "fine_tuning_from_scratch" if thaw == "all" else "feature_extractor"
    settings = [f"phases.epochs={epochs}", "phases.patience=none", "phases.batch_norm=frozen"]
    words = [word for setting in settings for word in ("--set", setting)]
    command = "from tlmed.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", command, "train", recipe, "--data", source, "--out", out, *words],
        check=True,
        capture_output=True,
    )
    rows = read_csv(out / "history.csv")
    return {"seconds": [float(row["seconds"]) for row in rows], "val_accuracy": float(rows[-1]["val_accuracy"])}


def copy_splits(source: Path, folder: Path) -> None:
    """Lay out tlmed's own splits as folders, which is what plain Keras reads."""
    from tlmed.data import load

    images = load(source, (32, 32))
    for path, label, split in zip(images.table.paths, images.table.labels, images.splits, strict=True):
        target = folder / split / images.table.classes[label] / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target)


def main() -> None:
    """Run both sides in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of class folders")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--thaw", choices=("none", "all"), default="none")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--plain", nargs=2, type=Path, metavar=("FOLDER", "WEIGHTS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plain:
        print(json.dumps(train_plain(*given.plain, given.epochs, given.thaw)))
        return

    from tlmed.quiet import import_tensorflow

    import_tensorflow()
    from tlmed.backbones import build

    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        copy_splits(given.data, scratch / "images")
        build("MobileNetV2", "imagenet", SIZE).model.save(scratch / "features.keras")
        ratios = []
        for pair in range(given.pairs):
            command = [sys.executable, __file__, "--data", given.data, "--epochs", given.epochs, "--thaw", given.thaw]
            command += ["--plain", scratch / "images", scratch / "features.keras"]
            done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
            plain = json.loads(done.stdout.splitlines()[-1])
            ours = train_tlmed(given.data, scratch / f"run{pair}", given.epochs, given.thaw)
            typical = [statistics.median(side["seconds"][1:]) for side in (ours, plain)]
            ratios.append(typical[0] / typical[1])
            print(
                f"pair {pair + 1}: seconds an epoch, tlmed {typical[0]:.2f}, plain Keras {typical[1]:.2f}, "
                f"ratio {ratios[-1]:.2f}; first epoch {ours['seconds'][0]:.1f} and {plain['seconds'][0]:.1f}; "
                f"val_accuracy {ours['val_accuracy']:.3f} and {plain['val_accuracy']:.3f}",
                flush=True,
            )
        print(
            f"ratio tlmed / plain Keras: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
