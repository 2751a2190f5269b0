"""Count how often the 95 % intervals of metrics at stated numbers hold the truth.

    python -m benchmarks.stated_coverage            # prints the table
    python -m benchmarks.stated_coverage --write    # and writes it into docs/metrics.md

The populations are those of benchmarks/coverage.py. By groups, each of 40 patients has five images of one class, whose
scores have a correlation of 0.5.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks.coverage import MIXES, PAGE, Setting, draw_labels, draw_scores, predict, write_cell
from tlmed.metrics import evaluate_stated
from tlmed.sections import Stated

IMAGES_EACH = 5  # of a patient
STATED = Stated(net_benefit=(0.2,))
MARKS = "<!-- stated: written by benchmarks/stated_coverage.py -->", "<!-- stated: end -->"
LIMITS = (92.0, 98.5)  # % that a cell must lie within, as in benchmarks/coverage.py


@dataclass(frozen=True)
class Sample:
    """How images are drawn: their number, the mix of classes, how sharp scores are, and whether patients have five."""

    images: int
    mix: str = "0.5"
    sharpness: float = 1.0
    grouped: bool = False

    @property
    def setting(self) -> Setting:
        """The same as a setting of benchmarks/coverage.py."""
        return Setting(self.images, self.mix, self.sharpness, self.grouped)

    def __str__(self):
        words = "too sharp, " if self.sharpness > 1 else ""
        units = f"{self.images // IMAGES_EACH} patients" if self.grouped else f"{self.images} images"
        return f"{'three classes, ' if self.mix == 'three' else ''}{words}{units}"


SAMPLES = (
    *(Sample(60), Sample(400), Sample(200, grouped=True)),
    *(Sample(60, sharpness=3.0), Sample(400, sharpness=3.0), Sample(200, sharpness=3.0, grouped=True)),
    Sample(400, "three"),
)


def draw(rng: np.random.Generator, sample: Sample) -> tuple[np.ndarray, np.ndarray, Sequence[str] | None]:
    """Return classes, probabilities and groups."""
    if not sample.grouped:
        labels, owners = draw_labels(rng, sample.setting, sample.images)
        return labels, draw_scores(rng, sample.setting, labels, owners), None
    patients = sample.images // IMAGES_EACH
    owners = np.repeat(np.arange(patients), IMAGES_EACH)
    labels = rng.choice(len(MIXES[sample.mix]), size=patients, p=MIXES[sample.mix])[owners]
    return labels, draw_scores(rng, sample.setting, labels, owners), [f"p{owner}" for owner in owners]


def name_classes(sample: Sample) -> list[str]:
    """Return names for the classes."""
    return [f"c{number}" for number in range(len(MIXES[sample.mix]))]


def find_truth(sample: Sample) -> dict[str, float]:
    """Return the metrics of a sample so large that they are those of the population."""
    # Of more classes fewer images, because the class-wise calibration error is resampled.
    images = 400_000 if len(MIXES[sample.mix]) == 2 else 40_000
    labels, scores, _ = draw(np.random.default_rng(1), Sample(images, sample.mix, sample.sharpness))
    found = evaluate_stated(labels, scores, predict(sample.setting, scores), name_classes(sample), stated=STATED)
    truth = {name: entry["value"] for name, entry in found["metrics"].items()}
    return truth | ({"classwise_ece": 0.0} if sample.sharpness == 1 else {})


def count_coverage(sample: Sample, draws: int) -> dict[str, Counter]:
    """Return for each metric in how many draws it has an interval, and in how many that holds the truth."""
    truth, rng, counts = find_truth(sample), np.random.default_rng(2), {}
    for _ in range(draws):
        labels, scores, groups = draw(rng, sample)
        guesses = predict(sample.setting, scores)
        found = evaluate_stated(labels, scores, guesses, name_classes(sample), groups=groups, stated=STATED)
        for name, entry in found["metrics"].items():
            count = counts.setdefault(name, Counter())
            count["defined"] += entry["value"] is not None
            if entry["low"] is not None and "Mean over the classes present" not in entry.get("note", ""):
                count["bounded"] += 1
                count["held"] += entry["low"] <= truth[name] <= entry["high"]
    return counts


def write_table(found: Sequence[dict[str, Counter]], draws: int) -> list[str]:
    """Return a table: a row for each metric, a column for each sample."""
    lines = [f"| metric | {' | '.join(map(str, SAMPLES))} |", f"|---|{'--:|' * len(SAMPLES)}"]
    for name in dict.fromkeys(name for counts in found for name in counts):
        cells = [write_cell(counts.get(name, Counter()), draws) for counts in found]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Print the table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=500, help="test sets of each column")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the table into docs/metrics.md")
    given = parser.parse_args()
    with ProcessPoolExecutor(given.jobs) as pool:
        found = list(pool.map(count_coverage, SAMPLES, [given.draws] * len(SAMPLES)))
    text = "\n".join(write_table(found, given.draws))
    print(text)
    if given.write:
        before, _, rest = PAGE.read_text().partition(MARKS[0])
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")


if __name__ == "__main__":
    main()
