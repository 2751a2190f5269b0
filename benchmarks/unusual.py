"""How often images unlike those of training are called unusual, and images like them: the tables of docs/unusual.md.

    python benchmarks/unusual.py measures --data DATA
    python benchmarks/unusual.py patients --data DATA
    python benchmarks/unusual.py joined --data DATA
    python benchmarks/unusual.py run RUN --data DATA
    python benchmarks/unusual.py cost RUN...

DATA is the folder with `busi`, `cxr-pediatric`, `nih-cxr-64`, `ct-contrast-dicom` and `medmnist`. RUN is a run of
`busi`, such as `tlmed train fine_tuning --data DATA/busi --out RUN`; of `cost` it is any run with phases.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageFilter

from tlmed import FeatureExtractor
from tlmed.data import ImageSet, join_units, load
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.splits import assign_splits
from tlmed.inference.scorer import load_scorer
from tlmed.intensity import resolve
from tlmed.metrics.proportions import wilson
from tlmed.novelty import ALARM, MEASURES, calibrate, fit_measure, join_judgements, load_novelty
from tlmed.novelty.distances import Nearest
from tlmed.novelty.nearest_known import direct
from tlmed.run_files import TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.seeds import derive
from tlmed.whole_files import read_csv

DRAWS, MANY = 20, 200  # splits of the images, and images of another kind
NEIGHBOURS = (1, 2, 5, 10, 50)
PATIENTS = {"NIH chest X-rays": "nih-cxr-64/labels.csv", "CT slices": "ct-contrast-dicom/labels.csv"}
CHANGES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "rotated by 90 degrees": lambda image: np.rot90(image),
    "rotated by 180 degrees": lambda image: np.rot90(image, 2),
    "inverted": lambda image: 255 - image,
    "blurred (Gauss, 4 pixels)": lambda image: np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(4))),
    "mirrored left to right": lambda image: image[:, ::-1],
}


def read(data: Path, name: str, size: int) -> ImageSet:
    """Return the images of a data set, at a size."""
    return load(data / name, PixelRule((size, size), resolve("auto")))


def draw_gradient(number: int, size: int) -> np.ndarray:
    """Return soft colours as of a photograph out of focus, uint8 [size, size, 3]."""
    random = np.random.RandomState(derive(0, "gradient", number))
    y, x = np.mgrid[0:size, 0:size] / size
    angle, colours = random.uniform(0, 2 * np.pi), random.rand(3, 3)
    waves = (x * np.cos(angle) + y * np.sin(angle), 1 - y, 0.3 * np.sin(6 * x + angle))
    image = sum(wave[..., None] * colour for wave, colour in zip(waves, colours, strict=True))
    return ((image - image.min()) / np.ptp(image) * 255).astype(np.uint8)


def gather(data: Path, size: int) -> dict[str, np.ndarray]:
    """Return images of other kinds, uint8 [n, size, size, 3] each."""
    random, found = np.random.RandomState(0), {}
    sets = {
        "chest X-rays of children": "cxr-pediatric/labels.csv",
        "chest X-rays, 64 pixels": "nih-cxr-64/labels.csv",
        "CT slices (DICOM)": "ct-contrast-dicom/labels.csv",
        "breast ultrasound, 28 pixels": "medmnist/breastmnist.npz",
    }
    for name, place in sets.items():
        images = read(data, place, size)
        found[name] = images.pixels.take(np.sort(random.permutation(len(images.splits))[:MANY]))
    found["noise"] = random.randint(0, 256, (MANY, size, size, 3)).astype(np.uint8)
    found["soft colours"] = np.stack([draw_gradient(number, size) for number in range(MANY)])
    return found


def say(unusual: int, n: int) -> str:
    """Return a share with its interval, in percent."""
    low, high = wilson(unusual, n)
    return f"{100 * unusual / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def fit(name: str, features: np.ndarray, labels: np.ndarray, seed: int):
    """Return a measure by its name, of "nearest" also by its neighbour: `nearest, k = 5`."""
    kind, _, k = name.partition(", k = ")
    return Nearest(direct(features), int(k)) if k else fit_measure(kind, features, labels, seed)


def compare_measures(data: Path) -> None:
    """Print which share of images each measure calls unusual, over several splits of BUSI."""
    images, size = read(data, "busi", 224), 224
    extractor = FeatureExtractor("MobileNetV2", image_size=(size, size)).fit(images.pixels.take(np.arange(8)))
    own, labels = images.pixels.take(np.arange(len(images.splits))), images.table.labels
    features = extractor.transform(own).astype(float)
    changed = {name: extractor.transform([change(image) for image in own]) for name, change in CHANGES.items()}
    others = {name: extractor.transform(made) for name, made in gather(data, size).items()}
    names = [*(f"nearest, k = {k}" for k in NEIGHBOURS), *(name for name in MEASURES if name != "nearest")]
    counts = {name: {kind: [0, 0] for kind in (*others, *changed, "test images of BUSI")} for name in names}
    for seed in range(DRAWS):
        splits = assign_splits(images.table, images.sha256, (0.70, 0.15, 0.15), seed)[0]
        train, val, test = (np.flatnonzero(splits == part) for part in ("train", "val", "test"))
        for name in names:
            measure = fit(name, features[train], labels[train], seed)
            known = calibrate(measure.score(features[val]))
            parts = {**others, **{kind: made[test] for kind, made in changed.items()}}
            for kind, made in {**parts, "test images of BUSI": features[test]}.items():
                counts[name][kind][0] += int((known.judge(measure.score(made)) < ALARM).sum())
                counts[name][kind][1] += len(made)
    print(f"| | {' | '.join(names)} |\n|---|{'--:|' * len(names)}")
    for kind in counts[names[0]]:
        shares = (100 * unusual / n for unusual, n in (counts[name][kind] for name in names))
        print(f"| {kind} | {' | '.join(f'{share:.1f}' for share in shares)} |")


def compare_owners(data: Path) -> None:
    """Print false alarms on new patients, where images or patients are counted, for sets with patients."""
    print("| images | patients in validation | images there | by patients | by images |\n|---|--:|--:|--:|--:|")
    for name, place in PATIENTS.items():
        images = read(data, place, 96)
        extractor = FeatureExtractor("MobileNetV2", image_size=(96, 96)).fit(images.pixels.take(np.arange(8)))
        features = extractor.transform(images.pixels.take(np.arange(len(images.splits)))).astype(float)
        owners = join_units(images.table.groups, images.sha256)
        found, held = np.zeros((200, 2)), []
        for seed in range(len(found)):
            order = np.random.RandomState(seed).permutation(owners.max() + 1)
            parts = np.digitize(order[owners] / len(order), (0.5, 0.75))
            measure = fit_measure("nearest", features[parts == 0], None, seed)
            scores, whose = measure.score(features[parts > 0]), owners[parts > 0]
            val = parts[parts > 0] == 1
            held.append((len(np.unique(whose[val])), val.sum()))
            for way, names in enumerate((whose[val], None)):
                alarms = calibrate(scores[val], names).judge(scores[~val]) < ALARM
                # A patient drawn at random, and then one of the images.
                found[seed, way] = np.mean([alarms[whose[~val] == one].mean() for one in np.unique(whose[~val])])
        mean, error = 100 * found.mean(0), 100 * found.std(0, ddof=1) / np.sqrt(len(found))
        cells = [f"{value:.1f} % (SE {spread:.1f})" for value, spread in zip(mean, error, strict=True)]
        print(f"| {name} | {np.mean(held, 0)[0]:.0f} | {np.mean(held, 0)[1]:.0f} | {' | '.join(cells)} |")


def compare_joined(data: Path) -> None:
    """Print false alarms and detections where the folds of a cross-validation judge together, on BUSI."""
    images, size = read(data, "busi", 224), 224
    extractor = FeatureExtractor("MobileNetV2", image_size=(size, size)).fit(images.pixels.take(np.arange(8)))
    own = images.pixels.take(np.arange(len(images.splits)))
    features = extractor.transform(own).astype(float)
    inverted = extractor.transform([255 - image for image in own])
    turned = extractor.transform([np.rot90(image, 2) for image in own])
    units, counts = join_units(None, images.sha256), {}
    for seed in range(DRAWS):
        order = np.random.RandomState(seed).permutation(units.max() + 1)[units]
        new, folds = np.flatnonzero(order < 117), order % 5
        parts = {"new images": features[new], "inverted": inverted[new], "rotated by 180 degrees": turned[new]}
        found = []
        for fold in range(5):
            val = np.flatnonzero((folds == fold) & (order >= 117))
            train = np.flatnonzero((folds != fold) & (order >= 117))
            measure = fit_measure("nearest", features[train], None, seed)
            known = calibrate(measure.score(features[val]))
            found.append({kind: known.judge(measure.score(made)) for kind, made in parts.items()})
        for kind in parts:
            p = [one[kind] for one in found]
            judged = {
                "one fold": p[0],
                "five folds, mean": join_judgements(p, np.ones(5)),
                "five folds, twice the mean": 2 * join_judgements(p, np.ones(5)),
                "five folds, least times 5": 5 * np.min(p, axis=0),
            }
            for way, values in judged.items():
                counts.setdefault(way, {}).setdefault(kind, []).append((values < ALARM).mean())
    print(f"| | {' | '.join(next(iter(counts.values())))} |\n|---|--:|--:|--:|")
    for way, kinds in counts.items():
        print(f"| {way} | {' | '.join(f'{100 * np.mean(values):.1f} %' for values in kinds.values())} |")


def judge_run(path: Path, data: Path) -> None:
    """Print which share of images a run calls unusual, by its own network."""
    run, known = RunDir(path), load_novelty(path)
    scorer = load_scorer(run)
    size = scorer.features.input_shape[1]
    rows = run.path / "splits.csv"
    images = read(data, "busi", size)
    tested = {row["path"] for row in read_csv(rows) if row["split"] == "test"}
    test = np.array([row for row, name in enumerate(images.table.paths) if name in tested])
    own = images.pixels.take(test)
    changed = {name: np.stack([change(image) for image in own]) for name, change in CHANGES.items()}
    kinds = {**gather(data, size), **changed}
    print("| images | n | called unusual (95 % interval) |\n|---|--:|--:|")
    for kind, made in {**kinds, "test images of BUSI": own}.items():
        p = known.judge(scorer.read(tf.data.Dataset.from_tensor_slices(np.ascontiguousarray(made)).batch(32)))
        print(f"| {kind} | {len(made)} | {say(int((p < ALARM).sum()), len(made))} |")


def show_costs(runs: Sequence[Path]) -> None:
    """Print which share of the seconds of each run went into learning what its images look like."""
    print("| run | epochs | seconds of phases | learning | of phases | of the run |\n|---|--:|--:|--:|--:|--:|")
    for run in runs:
        timing, epochs = TIMING_JSON.read(RunDir(run)), len(read_csv(run / "history.csv"))
        stages = {stage["name"]: stage["seconds"] for stage in timing["stages"]}
        learning = stages["unusual images"]
        phases = sum(seconds for name, seconds in stages.items() if name.startswith("phase "))
        shares = (f"{100 * learning / whole:.1f} %" for whole in (phases, timing["total_seconds"]))
        print(f"| {run.name} | {epochs} | {phases:.1f} | {learning:.1f} | {' | '.join(shares)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measures", "patients", "joined", "run", "cost"))
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    if (asked.data is None) != (asked.what == "cost"):
        parser.error("`--data` is needed by all but `cost`.")
    if (not asked.runs) == (asked.what in ("run", "cost")):
        parser.error("RUN is needed by `run` and `cost`, and by no other.")
    if asked.what == "cost":
        show_costs(asked.runs)
    elif asked.what == "run":
        for run in asked.runs:
            judge_run(run, asked.data)
    else:
        {"measures": compare_measures, "patients": compare_owners, "joined": compare_joined}[asked.what](asked.data)


if __name__ == "__main__":
    main()
