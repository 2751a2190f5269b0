"""Simulate: how often do intervals of a mean over seeds on one split cover the true score.

    python benchmarks/seed_coverage.py --draws 2000

Scores of the positive class are normal. Half of the variance of an image's score is common to all seeds; a seed also
moves all of its positives by an amount of its own, so that its true AUC is its own too. The true score is the mean over
all images and seeds. In populations of patients each patient has five images of one class, whose scores correlate by
one half. Where too few images or patients decide, there is no interval; how often is said.
"""

import argparse
import dataclasses

import numpy as np

from tlmed.contests import SplitImages, average_seeds, compare_seeds
from tlmed.metrics.areas import area_interval
from tlmed.metrics.definitions import make_case
from tlmed.metrics.influences import influence_of_all
from tlmed.metrics.sample_sizes import count_units, say_few, say_few_moves
from tlmed.metrics.spreads import find_strata

GROUP = 5  # images of a patient


@dataclasses.dataclass(frozen=True)
class Population:
    """Where test images come from.

    Attributes:
        area: The AUC.
        units: How many images, or patients.
        prevalence: The share of positives, by lot for each unit.
        grouped: Whether units are patients.
        own: The standard deviation by which seeds move positives.
        seeds: How many.
    """

    area: float
    units: int
    prevalence: float
    grouped: bool = False
    own: float = 0.0
    seeds: int = 3


def draw_seeds(rng: np.random.Generator, population: Population) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return labels [n], scores [seeds, n] and owners [n] or None; both classes occur."""
    from scipy.special import ndtri

    each = GROUP if population.grouped else 1
    while True:
        positive = rng.random(population.units) < population.prevalence
        if 0 < positive.sum() < population.units:
            break
    labels = np.repeat(positive, each)
    shared = rng.standard_normal(len(labels))
    if population.grouped:
        shared = np.sqrt(0.5) * (shared + np.repeat(rng.standard_normal(population.units), each))
    noise = rng.standard_normal((population.seeds, len(labels)))
    moved = population.own * rng.standard_normal((population.seeds, 1))
    # The difference of a positive and a negative has the variance 2, and that of seeds.
    lift = ndtri(population.area) * np.sqrt(2 + population.own**2)
    scores = np.sqrt(0.5) * (shared + noise) + labels * (lift + moved)
    return labels, scores, np.repeat(np.arange(population.units), each) if population.grouped else None


def measure(labels: np.ndarray, scores: np.ndarray, owners: np.ndarray | None):
    """Return the entry of each seed as its run has it, what images add to each, and the test images."""
    entries, moves, few = [], [], ""
    for own in scores:
        ranked = (own.argsort().argsort() + 0.5) / len(own)
        case = make_case(labels.astype(int), np.stack([1 - ranked, ranked], axis=1), (ranked > 0.5).astype(int), 1)
        if few := say_few(case, owners, 1, "auc"):
            entries.append({"value": area_interval(labels, ranked)["value"], "low": None, "high": None, "note": few})
        else:
            entries.append(area_interval(labels, ranked, owners))
        moves.append(influence_of_all(case, "auc"))
    units = count_units(case, owners, None, "auc")
    strata = find_strata(labels.astype(int), owners)
    return entries, np.array(moves), SplitImages(strata, owners, units, say_few_moves(case, owners, "auc"))


def cover(population: Population, draws: int, seed: int) -> tuple[float, float, float, float]:
    """Return how often the interval covers, its mean width, how often there is none, and that of one run covers."""
    rng, found, runs = np.random.default_rng(seed), [], []
    for _ in range(draws):
        entries, moves, images = measure(*draw_seeds(rng, population))
        mean = average_seeds(entries, moves, images, (0.0, 1.0))
        if mean.low is not None:
            found.append((mean.low <= population.area <= mean.high, mean.high - mean.low))
            runs.append(entries[0]["low"] <= population.area <= entries[0]["high"])
    covered, width = np.mean(found, axis=0) if found else (np.nan, np.nan)
    return float(covered), float(width), 1 - len(found) / draws, float(np.mean(runs)) if runs else np.nan


def count_false(population: Population, draws: int, seed: int) -> tuple[float, float]:
    """Return how often two equal configurations are told apart, and how often they are not tested."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        labels, scores, owners = draw_seeds(rng, dataclasses.replace(population, seeds=2 * population.seeds))
        entries, moves, images = measure(labels, scores, owners)
        values = np.array([entry["value"] for entry in entries]).reshape(2, -1)
        p = compare_seeds(values, moves.reshape(2, population.seeds, -1), images)[0].p_holm
        found.append(np.nan if p is None else p < 0.05)
    kept = np.array(found)[~np.isnan(found)]
    return float(kept.mean()) if len(kept) else np.nan, 1 - len(kept) / draws


POPULATIONS = [
    Population(area, units, prevalence, grouped, own)
    for area in (0.85, 0.97)
    for units, prevalence, grouped in (
        *((20, 0.5, False), (60, 0.5, False), (100, 0.5, False), (60, 0.15, False), (100, 0.1, False)),
        *((20, 0.5, True), (60, 0.15, True)),
    )
    for own in (0.0, 0.3)
]


def main() -> None:
    """Simulate, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for each in POPULATIONS:
        covered, width, none, run = cover(each, options.draws, options.seed)
        false, untested = count_false(each, options.draws, options.seed)
        kind = "patients of five images" if each.grouped else "images"
        print(
            f"AUC {each.area:g}, {each.units} {kind}, {each.prevalence:.0%} positive, seeds move by {each.own:g}: "
            f"covered {covered:.1%}, mean width {width:.3f}, none in {none:.1%}; the first run's interval {run:.1%}; "
            f"equal ones told apart {false:.1%}, not tested {untested:.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
