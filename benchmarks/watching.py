"""How often `tlmed watch` says drift where there is none, and where there is some: the tables of docs/watching.md.

    python benchmarks/watching.py false-alarms RUN
    python benchmarks/watching.py power RUN --data DATA
    python benchmarks/watching.py index

RUN is a run of `busi` with `novelty.sealed`, DATA the folder with `busi`.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter

from tlmed.data import load
from tlmed.data.decode_and_resize import PixelRule
from tlmed.drift import drift_tests
from tlmed.drift.drift_check import read_reference
from tlmed.drift.drift_tests import Reference, list_drift_tests
from tlmed.drift.incoming_rows import Batch
from tlmed.drift.owned_samples import TwoSamples
from tlmed.drift.stability_index import LARGE, SMALL, Stability, measure_stability
from tlmed.evaluation.decisions import read_decision
from tlmed.evaluation.pooled_csv import read_units
from tlmed.inference.scorer import load_scorer
from tlmed.intensity import resolve
from tlmed.metrics import holm
from tlmed.metrics.proportions import wilson
from tlmed.novelty import load_novelty
from tlmed.run_files import METRICS_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.tasks import read_task

DRAWS = 400
AMOUNTS = (30, 60, 117)  # images that come in
FEW = 50  # draws of what comes in, where drift is there


def say(found: list[bool]) -> str:
    """Return a share with its interval, in percent."""
    low, high = wilson(sum(found), len(found))
    return f"{100 * np.mean(found):.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def leave_out_index() -> None:
    """Compute no population stability index, which decides nothing and takes most of the time."""
    drift_tests.measure_stability = lambda *given: Stability(0.0, 0.0, 1.0)


def finds_drift(reference: Reference, batch: Batch, seed: int, draws: int = 1999) -> bool:
    """Tell whether the tests of a batch find drift, as `tlmed watch` does of a file without dates."""
    tests = list_drift_tests(reference, batch, seed, draws)
    return min(holm([test["p"] for test in tests])) < 0.05


def deal(random: np.random.RandomState, whole: Reference, amounts: tuple[int, int]) -> tuple[Reference, Batch]:
    """Return a test split and what came in, both drawn from the same images: no image is in both."""
    order = random.permutation(len(whole.batch.scores))
    first, second = order[: amounts[0]], order[amounts[0] : sum(amounts)]
    reference = replace(whole, batch=whole.batch.take(first), tested=whole.tested[first], testers=whole.testers[first])
    return reference, replace(whole.batch.take(second), unusual=whole.tested[second])


def simulate(random: np.random.RandomState, amounts: tuple[int, int]) -> tuple[Reference, Batch]:
    """Return a test split and what came in, drawn from one distribution of scores of three classes."""
    batches = []
    for n in amounts:
        labels = random.choice(3, n, p=(0.56, 0.27, 0.17))
        logits = random.normal(size=(n, 3)) * 1.5 + 3 * np.eye(3)[labels]
        scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        batches.append(Batch(scores, scores.argmax(1), np.arange(n), labels, random.rand(n)))
    first, second = batches
    classes = ("benign", "malignant", "normal")
    return Reference(replace(first, unusual=None), classes, None, first.unusual, first.owners), second


def simulate_patients(random: np.random.RandomState, amounts: tuple[int, int]) -> tuple[Reference, Batch]:
    """Return the same of patients with 1 to 8 images that are alike; amounts are of patients."""
    found = []
    for patients in amounts:
        owners = np.repeat(np.arange(patients), random.randint(1, 9, patients))
        ill = random.rand(patients) < 0.4
        logits = (2.0 * ill - 1.0 + random.normal(size=patients))[owners] + 0.5 * random.normal(size=len(owners))
        scores = 1 / (1 + np.exp(-logits))
        scores = np.stack([1 - scores, scores], axis=1)
        unusual = np.clip(random.rand(patients)[owners] + 0.02 * random.normal(size=len(owners)), 1e-3, 1)
        found.append(Batch(scores, scores.argmax(1), owners, ill[owners].astype(int), unusual))
    first, second = found
    return Reference(replace(first, unusual=None), ("well", "ill"), 1, first.unusual, first.owners), second


def count_false_alarms(path: Path) -> None:
    """Print how often drift is said where test split and what comes in are drawn from the same images."""
    run = RunDir(path)
    whole = read_whole(run)
    leave_out_index()
    print(f"| drawn from | test split | comes in | drift said in {DRAWS} draws |\n|---|--:|--:|--:|")
    n = len(whole.batch.scores)
    for amount in AMOUNTS:
        rest = min(117, n - amount)
        found = [finds_drift(*deal(np.random.RandomState(seed), whole, (rest, amount)), seed) for seed in range(DRAWS)]
        print(f"| BUSI, {n} validation and test images | {rest} | {amount} | {say(found)} |", flush=True)
    for amounts in ((117, 30), (117, 117), (117, 1000), (1000, 1000)):
        found = [finds_drift(*simulate(np.random.RandomState(seed), amounts), seed) for seed in range(DRAWS)]
        print(f"| made scores | {amounts[0]:,} | {amounts[1]:,} | {say(found)} |", flush=True)
    for amounts in ((40, 40), (100, 60)):
        made = [simulate_patients(np.random.RandomState(seed), amounts) for seed in range(DRAWS)]
        found = [finds_drift(*pair, seed, 299) for seed, pair in enumerate(made)]
        print(f"| made patients | {amounts[0]} patients | {amounts[1]} patients | {say(found)} |", flush=True)
        alone = []
        for seed, (reference, batch) in enumerate(made):
            own = [np.arange(len(part.scores)) for part in (reference.batch, batch)]
            reference = replace(reference, batch=replace(reference.batch, owners=own[0]), testers=own[0])
            alone.append(finds_drift(reference, replace(batch, owners=own[1]), seed))
        cells = " | ".join(f"{amount} patients" for amount in amounts)
        print(f"| the same, each image by itself | {cells} | {say(alone)} |", flush=True)


def read_whole(run: RunDir) -> Reference:
    """Return validation and test images of a run as one test split, with p-values of being like training images.

    Each validation image is judged by the other ones.
    """
    metrics = METRICS_JSON.read(run)
    reference = read_reference(run, metrics)
    units, known = read_units(run.path, metrics), load_novelty(run)
    val = units.of("val")
    scores = known.calibration.scores
    own = np.array([(1 + (np.delete(scores, row) >= scores[row]).sum()) / len(scores) for row in range(len(scores))])
    parts = [
        Batch(part.scores, part.predictions, np.arange(len(part.paths)), part.labels)
        for part in (val, units.of("test"))
    ]
    joined = [np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "guesses", "labels")]
    n = len(joined[0])
    tested = np.concatenate([own, known.tested])
    batch = Batch(joined[0], joined[1], np.arange(n), joined[2])
    return replace(reference, batch=batch, tested=tested, testers=np.arange(n))


SHIFTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "unchanged": lambda image: image,
    "contrast of 70 %": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "contrast of 40 %": lambda image: ImageEnhance.Contrast(image).enhance(0.4),
    "brighter by half": lambda image: ImageEnhance.Brightness(image).enhance(1.5),
    "a little blurred (Gauss, 1 pixel)": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "speckled (noise of 20 gray levels)": lambda image: add_noise(image, 20),
}


MIXES = {"malignant twice as frequent": (0.3, 0.54, 0.16), "no image of normal": (0.67, 0.33, 0.0)}


def add_noise(image: Image.Image, deviation: float) -> Image.Image:
    """Return an image with normal noise, as of another scanner."""
    pixels = np.asarray(image).astype(float)
    random = np.random.RandomState(int(pixels.sum()) % 2**31)
    return Image.fromarray((pixels + random.normal(0, deviation, pixels.shape)).clip(0, 255).astype(np.uint8))


def measure_power(path: Path, data: Path) -> None:
    """Print how often drift is found in images that were changed, and where the mix of classes has changed."""
    leave_out_index()
    run = RunDir(path)
    scorer, known, metrics = load_scorer(run), load_novelty(run), METRICS_JSON.read(run)
    reference, size = read_reference(run, metrics), scorer.features.input_shape[1]
    images = load(data / "busi", PixelRule((size, size), resolve("auto")))
    held = {row["path"] for row in SPLITS_CSV.read(run) if row["split"] == "val"}
    rows = np.array([row for row, name in enumerate(images.table.paths) if name in held])
    pixels, labels = images.pixels.take(rows), images.table.labels[rows]
    print("| what comes in | images | drift found | in what, most often |\n|---|--:|--:|---|")
    for name, change in SHIFTS.items():
        made = np.stack([np.asarray(change(Image.fromarray(image))) for image in pixels])
        batch = answer(scorer, known, run, metrics, made, labels)
        report(reference, batch, name)
    whole = answer(scorer, known, run, metrics, pixels, labels)
    for name, shares in MIXES.items():
        for amount in (60, 117):
            batches = list(remix(whole, labels, shares, amount))
            report(reference, batches, f"{name}, {amount} images", amount)


def answer(scorer, known, run, metrics, pixels, labels) -> Batch:
    features = scorer.read(tf.data.Dataset.from_tensor_slices(pixels).batch(32))
    scores = scorer.finish(features).astype(float)
    guesses = read_decision(run).choose(scores, None, read_task(metrics))
    return Batch(scores, guesses, np.arange(len(scores)), labels, known.judge(features))


def remix(whole: Batch, labels: np.ndarray, shares: tuple[float, ...], amount: int) -> Iterator[Batch]:
    for seed in range(FEW):
        random = np.random.RandomState(seed)
        wanted = random.choice(len(shares), amount, p=shares)
        rows = np.array([random.choice(np.flatnonzero(labels == label)) for label in wanted])
        yield replace(whole.take(rows), owners=np.arange(amount))


def report(reference: Reference, batches, name: str, amount: int | None = None) -> None:
    """Print a row: of one batch half of its images drawn many times, or of several batches."""
    if isinstance(batches, Batch):
        for half in (60, len(batches.scores)):
            drawn = []
            for seed in range(FEW):
                rows = np.random.RandomState(seed).permutation(len(batches.scores))[:half]
                drawn.append(batches.take(rows))
            report(reference, drawn[: 1 if half == len(batches.scores) else FEW], name, half)
        return
    found, kinds = [], {}
    for seed, batch in enumerate(batches):
        tests = list_drift_tests(reference, replace(batch, labels=None), seed)
        adjusted = holm([test["p"] for test in tests])
        found.append(min(adjusted) < 0.05)
        for test, p in zip(tests, adjusted, strict=True):
            if p < 0.05:
                kinds[test["kind"]] = kinds.get(test["kind"], 0) + 1
    most = max(kinds, key=kinds.get) if kinds else "-"
    said = ("yes" if found[0] else "no") if len(found) == 1 else f"{100 * np.mean(found):.0f} % of {len(found)}"
    print(f"| {name} | {amount} | {said} | {most} |", flush=True)


def tabulate_index() -> None:
    """Print how large the population stability index is by chance."""
    head = ("test split", "rows that come in", f"above {SMALL}", f"above {LARGE}", "95 % of draws below")
    print(f"| {' | '.join(head)} | called moderate or large |")
    print("|--:|--:|--:|--:|--:|--:|")
    for n, m in ((100, 30), (100, 100), (117, 300), (500, 100), (500, 500), (2000, 2000)):
        found = []
        for seed in range(200):
            random = np.random.RandomState(seed)
            samples = TwoSamples(np.arange(n), np.arange(m))
            found.append(measure_stability(random.rand(n), random.rand(m), samples, seed))
        values = np.array([one.value for one in found])
        called = np.mean([one.verdict in ("moderate", "large") for one in found])
        cells = [f"{100 * share:.0f} %" for share in ((values > SMALL).mean(), (values > LARGE).mean())]
        print(f"| {n:,} | {m:,} | {cells[0]} | {cells[1]} | {np.quantile(values, 0.95):.3f} | {100 * called:.0f} % |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("false-alarms", "power", "index"))
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    if asked.what == "index":
        tabulate_index()
    elif asked.what == "power":
        measure_power(asked.run, asked.data)
    else:
        count_false_alarms(asked.run)


if __name__ == "__main__":
    main()
