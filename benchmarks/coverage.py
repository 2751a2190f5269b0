"""Count how often 95 % intervals hold the truth, and how often tests find a difference that is not there.

    python benchmarks/coverage.py            # prints the tables
    python benchmarks/coverage.py --write    # and writes them into docs/metrics.md

Each cell draws test sets from a population with known metrics: as many images as stated, each of a class by chance, so
that the mix of classes varies as it does from one set of patients to the next. Scores are normal; they are turned into
the probabilities that they mean ("calibrated") or into ones three times as sharp. By groups, a patient has one to five
images of one class, whose scores have a correlation of 0.5.
"""

import argparse
import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri, softmax

from tlmed.metrics import METRICS, compare_metrics, evaluate, predictive_values
from tlmed.metrics.definitions import make_case, rate

SIZES = (20, 60, 117, 400)
MIXES = {"0.1": (0.9, 0.1), "0.5": (0.5, 0.5), "three": (0.8, 0.15, 0.05)}
AREA = 0.85  # of one class against another
SHARP = 3.0
CORRELATION = 0.5
STATED = 0.05  # prevalence at which predictive values are wanted, too; their coverage is the same at every one
AT_STATED = {name: f"{name} at {STATED}" for name in ("ppv", "npv")}
LEAST_SHARE = 1 / 3  # of draws that must have an interval: fewer are chosen by their unusual number of positives
LIMITS = {"coverage": (92.0, 98.5), "tests": (0.0, 7.0)}  # % that a cell must lie within
PAGE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
MARKS = "<!-- coverage: written by benchmarks/coverage.py -->", "<!-- coverage: end -->"


@dataclass(frozen=True)
class Setting:
    """One population and how it is sampled: the images, the shares of the classes, sharpness, groups or not."""

    images: int
    mix: str
    sharpness: float
    grouped: bool


def draw_labels(rng: np.random.Generator, setting: Setting, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return classes and patients."""
    shares = MIXES[setting.mix]
    if not setting.grouped:
        return rng.choice(len(shares), size=images, p=shares), np.arange(images)
    sizes = rng.integers(1, 6, size=images)
    owners = np.repeat(np.arange(images), sizes)[:images]
    return rng.choice(len(shares), size=images, p=shares)[owners], owners


def draw_scores(rng: np.random.Generator, setting: Setting, labels, owners, shared=0.0, common=None) -> np.ndarray:
    """Return probabilities [n, k]; `shared` is the share of their noise that is in `common`, as two networks' is."""
    k = len(MIXES[setting.mix])
    own = CORRELATION if setting.grouped else 0.0
    noise = math.sqrt(own) * rng.normal(size=(owners.max() + 1, k))[owners] + math.sqrt(1 - own) * rng.normal(
        size=(len(labels), k)
    )
    if common is not None:
        noise = math.sqrt(shared) * common + math.sqrt(1 - shared) * noise
    far = float(ndtri(AREA))  # between two classes the difference of two scores has twice the variance and shift
    logits = far * (noise + far * np.eye(k)[labels]) + np.log(MIXES[setting.mix])
    return softmax(setting.sharpness * logits, axis=1)


def predict(setting: Setting, scores: np.ndarray) -> np.ndarray:
    """Return predicted classes: of two by the threshold with the largest Youden index, of more the likeliest."""
    if scores.shape[1] > 2:
        return scores.argmax(axis=1)
    share = MIXES[setting.mix][1]
    return (scores[:, 1] >= 1 / (1 + ((1 - share) / share) ** setting.sharpness)).astype(int)


def find_truth(setting: Setting) -> dict[str, float]:
    """Return the metrics of a sample so large that they are those of the population."""
    rng = np.random.default_rng(1)
    labels, owners = draw_labels(rng, Setting(0, setting.mix, 1.0, False), 1_000_000)
    scores = draw_scores(rng, Setting(0, setting.mix, setting.sharpness, False), labels, owners)
    case = make_case(labels, scores, predict(setting, scores), 1 if scores.shape[1] == 2 else None)
    truth = {name: value.item() for name, value in rate(case, np.ones((len(labels), 1)))[None].items()}
    caught, cleared = STATED * truth["sensitivity"], (1 - STATED) * truth["specificity"]
    truth[AT_STATED["ppv"]] = caught / (caught + 1 - STATED - cleared)
    truth[AT_STATED["npv"]] = cleared / (cleared + STATED - caught)
    return truth | ({"ece": 0.0} if setting.sharpness == 1 else {})


def weigh(labels, predictions, owners) -> dict[str, dict]:
    """Return the predictive values at the stated prevalence; nothing where a class is absent."""
    positive = labels == 1
    if positive.all() or not positive.any():
        return {}
    found = predictive_values(positive, predictions == 1, STATED, owners)
    return {row: found[name] for name, row in AT_STATED.items()}


def count_coverage(setting: Setting, draws: int) -> dict[str, Counter]:
    """Return for each metric in how many draws it is defined, has an interval, and holds the truth."""
    truth, rng = find_truth(setting), np.random.default_rng(2)
    counts = {name: Counter() for name in (*METRICS, *AT_STATED.values())}
    classes = [f"c{number}" for number in range(len(MIXES[setting.mix]))]
    for seed in range(draws):
        labels, owners = draw_labels(rng, setting, setting.images)
        scores = draw_scores(rng, setting, labels, owners)
        groups = [str(owner) for owner in owners] if setting.grouped else None
        guesses = predict(setting, scores)
        found = evaluate(labels, scores, guesses, classes, groups=groups, draws=400, seed=seed)["metrics"]
        if len(classes) == 2:
            found |= weigh(labels, guesses, owners if setting.grouped else None)
        for name, entry in found.items():
            counts[name]["defined"] += entry["value"] is not None
            # The mean over the classes present is another metric where one is absent, and says so.
            if entry["low"] is not None and "Mean over the classes present" not in entry.get("note", ""):
                counts[name]["bounded"] += 1
                counts[name]["held"] += entry["low"] <= truth[name] <= entry["high"]
    return counts


def count_findings(setting: Setting, draws: int) -> dict[str, Counter]:
    """Return for each metric in how many draws two equally good classifiers are tested, and found to differ."""
    rng = np.random.default_rng(3)
    counts = {name: Counter() for name in METRICS}
    classes = [f"c{number}" for number in range(len(MIXES[setting.mix]))]
    for _ in range(draws):
        labels, owners = draw_labels(rng, setting, setting.images)
        common = rng.normal(size=(len(labels), len(classes)))
        tables = [draw_scores(rng, setting, labels, owners, 0.5, common) for _ in range(2)]
        groups = [str(owner) for owner in owners] if setting.grouped else None
        pairs = [(scores, predict(setting, scores)) for scores in tables]
        for name, entry in compare_metrics(labels, *pairs, classes, groups=groups).items():
            tested = entry["p"] is not None
            counts[name]["defined"] += entry["value"] is not None
            counts[name]["bounded"] += tested
            counts[name]["held"] += tested and entry["p"] < 0.05
            counts[name]["off"] += entry["low"] is not None and not entry["low"] <= 0 <= entry["high"]
    return counts


def list_settings(mixes) -> Iterator[tuple[str, list[Setting]]]:
    """Yield a title and the settings of each table."""
    for grouped in (False, True):
        for sharpness, word in ((1.0, "calibrated scores"), (SHARP, f"scores {SHARP:g} times too sharp")):
            images = "patients of 1 to 5 images" if grouped else "images that stand alone"
            yield (
                f"{images}, {word}",
                [Setting(size, mix, sharpness, grouped) for mix in mixes for size in SIZES],
            )


def write_table(title: str, settings: list[Setting], found: list[dict[str, Counter]], lowest: int) -> list[str]:
    """Return a table: a row for each metric, a column for each setting."""
    heads = [f"{setting.mix}: {setting.images}" for setting in settings]
    lines = [f"| {title} | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for name in found[0]:
        cells = [write_cell(counts[name], lowest) for counts in found]
        if any(cell != "" for cell in cells):
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def list_outside(
    title: str, settings: list[Setting], found: list[dict[str, Counter]], limits: tuple[float, float], draws: int
) -> list[str]:
    """Return the cells of a table that lie outside the limits."""
    low, high = limits
    return [
        f"`{name}` {share:.1f} ({title}, {setting.mix}: {setting.images})"
        for setting, counts in zip(settings, found, strict=True)
        for name, count in counts.items()
        if count["bounded"] >= LEAST_SHARE * draws
        and not low <= (share := 100 * count["held"] / count["bounded"]) <= high
    ]


def write_cell(count: Counter, draws: int) -> str:
    """Return a cell: of 100 intervals how many held; `none` where there are too few; "" where nothing is defined.

    >>> write_cell(Counter(defined=9, bounded=1), 10), write_cell(Counter(), 10)
    ('none (10)', '')
    """
    share = count["bounded"] / draws
    if not count["bounded"] or share < LEAST_SHARE:
        return f"none ({100 * share:.0f})" if count["defined"] else ""
    return f"{100 * count['held'] / count['bounded']:.1f}" + (f" ({100 * share:.0f})" if share < 0.995 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1_000, help="test sets of each cell")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/metrics.md")
    given = parser.parse_args()

    error = 100 * math.sqrt(0.95 * 0.05 / given.draws)
    lines = [
        f"Each number comes from {given.draws:,} draws; its standard error is {error:.1f}. A number in brackets says "
        "in how many of 100 draws there was an interval or a test; without brackets, in all. `none` means in fewer "
        f"than {100 * LEAST_SHARE:.0f}.",
        "",
        "Coverage of 95 % intervals in %, by prevalence (`three`: classes of 0.8, 0.15 and 0.05) and number of images:",
        "",
    ]
    outside = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for kind, work in (("coverage", count_coverage), ("tests", count_findings)):
            if kind == "tests":
                lines += ["Differences found at 0.05 between two equally good classifiers, in %:", ""]
            for title, settings in list_settings(MIXES):
                found = list(pool.map(work, settings, [given.draws] * len(settings)))
                lines += [*write_table(title, settings, found, given.draws), ""]
                outside += list_outside(title, settings, found, LIMITS[kind], given.draws)
                print("\n".join(lines[-len(found[0]) - 3 :]), flush=True)
    (low, high), (_, most) = LIMITS.values()
    said = f"Cells with a coverage outside {low:g} to {high:g} %, or with more than {most:g} % of differences found"
    lines += [f"{said}: {'; '.join(outside) or 'none'}.", ""]
    print(lines[-2])
    if given.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{chr(10).join(lines)}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
