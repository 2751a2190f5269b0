"""How often a gain on several folds is "beyond noise": by the errors of their images alone, and as an advice counts it.

    python benchmarks/advice_noise.py

Two trainings score the images of some of five folds, with normal scores of an AUC of 0.93 for the one and some gain for
the other. What training draws moves that gain from fold to fold by a standard deviation. Each row is a number of folds,
a gain and such a deviation; the shares are those of draws whose mean gain is above one standard error.
"""

import argparse
import math
import statistics

import numpy as np
from result_tables import table
from scipy.stats import norm

from tlmed.advising.trials import join_gains, to_gain
from tlmed.metrics.paired_tests import compare_areas
from tlmed.sections import KFold

AUC, RHO, POSITIVE = 0.93, 0.8, 0.4  # of the simpler training; of both scores of an image; share of images
DIVISION = KFold(5)


def draw_difference(random: np.random.Generator, images: int, gain: float) -> dict:
    """Return what a fold says of two trainings, as two runs are compared.

    Args:
        random: What draws.
        images: Of the fold.
        gain: By how much the true AUC of the second training is higher.
    """
    positive = np.arange(images) < POSITIVE * images
    common = math.sqrt(RHO) * random.standard_normal(images)
    simple, other = (
        common
        + math.sqrt(1 - RHO) * random.standard_normal(images)
        + positive * math.sqrt(2) * norm.ppf(min(area, 0.9995))
        for area in (AUC, AUC + gain)
    )
    return compare_areas(positive, other, simple)


def count_beyond(folds: int, gain: float, deviation: float, images: int, draws: int) -> tuple:
    """Return the row of a number of folds, a gain and a deviation: the true error, both noises and both shares."""
    random, means, alone, counted = np.random.default_rng(0), [], [], []
    for _ in range(draws):
        true = gain + deviation * random.standard_normal(folds)
        found = [draw_difference(random, images // DIVISION.k, each) for each in true]
        joined = join_gains("", found, DIVISION.test_share)
        means.append(joined.value)
        counted.append(joined.noise)
        alone.append(math.hypot(*(to_gain("", each).noise for each in found)) / folds)
    above = [np.mean(np.array(means) > noises) for noises in (alone, counted)]
    errors = (statistics.stdev(means), statistics.median(alone), statistics.median(counted))
    return (
        str(folds),
        f"{gain:.2f}",
        f"{deviation:.2f}",
        *(f"{error:.4f}" for error in errors),
        *(f"{x:.0%}" for x in above),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=663, help="for development")
    parser.add_argument("--draws", type=int, default=2000)
    asked = parser.parse_args()
    rows = [
        count_beyond(folds, gain, deviation, asked.images, asked.draws)
        for folds in (2, 3, 5)
        for deviation in (0.0, 0.02)
        for gain in (0.0, 0.02)
    ]
    head = ("folds", "gain", "deviation", "error", "noise of images", "noise", "beyond, of images", "beyond")
    print(table(head, rows))


if __name__ == "__main__":
    main()
