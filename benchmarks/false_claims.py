"""Simulate studies: how often is the best one not the best, against what was stated; and how often is nothing found.

    python benchmarks/false_claims.py --studies 20000
    python benchmarks/false_claims.py --nothing --studies 500

First part: studies of 2 to 30 configurations whose true scores are known. What `tlmed.contests.judge_best` states is
sorted into ten bins and compared with how often the claim was false. The true spread is drawn anew for each study, by
one of three rules in turn: 0, 1/4, 1/2, 1, 2 or 4 standard errors; from 0 to 4 evenly; from 0.1 to 5 evenly in the
logarithm. With a spread of zero all are equal, and who is truly best is drawn by lot.

Second part: studies in which all configurations are equal, and how many of them find a difference.
"""

import argparse
import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

from tlmed.contests import (
    ScoreErrors,
    SplitImages,
    compare_cells,
    compare_seeds,
    judge_best,
    measure_folds,
    measure_split,
    rank_places,
)
from tlmed.metrics import binary_auc

COUNTS, BINS, RESAMPLES = (2, 3, 5, 10, 20, 30), 10, 300
TINY = 1e-9  # a spread of zero, with a best one by lot
Study = tuple[np.ndarray, np.ndarray, ScoreErrors]  # true scores, scores, errors


def draw_spread(rng: np.random.Generator) -> float:
    """Return a true spread in standard errors."""
    rules = (
        lambda: max(TINY, rng.choice([0, 0.25, 0.5, 1, 2, 4])),
        lambda: rng.uniform(0, 4),
        lambda: math.exp(rng.uniform(math.log(0.1), math.log(5))),
    )
    return float(rules[rng.integers(3)]())


def draw_normal(rng: np.random.Generator, m: int, failures: float = 0.0, halves: bool = False, skew: int = 0) -> Study:
    """Return scores with normal errors that correlate, of unequal sizes, whose covariance is estimated of 20 units.

    Args:
        rng: Decides them.
        m: How many configurations.
        failures: Which share of them fails, and is up to some ten errors below the others.
        halves: Whether the true scores have two values only, one of them for each by lot.
        skew: Whether they are exponential in place of normal: 1 with few that are far above, -1 far below.
    """
    alike, sizes, freedom = rng.choice([0, 0.5, 0.8]), np.exp(rng.normal(0, 0.2, m)), 20
    covariance = ((1 - alike) * np.eye(m) + alike) * np.outer(sizes, sizes)
    error = math.sqrt(1 - alike)
    kinds = skew * rng.standard_exponential(m) if skew else rng.standard_normal(m)
    if halves:
        kinds = 2.0 * (rng.random(m) < 0.5) + TINY * kinds
    true = kinds * draw_spread(rng) * error
    true -= (rng.random(m) < failures) * np.abs(rng.normal(0, 10 * error, m))
    scores = true + np.linalg.cholesky(covariance) @ rng.standard_normal(m)
    return true, scores, ScoreErrors(covariance * rng.chisquare(freedom) / freedom, freedom)


def draw_images(rng: np.random.Generator, m: int, level: float, seeds: int = 3) -> Study:
    """Return accuracies over seeds on the same images, with bootstrapped errors.

    Args:
        rng: Decides them.
        m: How many configurations.
        level: The accuracy around which the true ones lie.
        seeds: How many.
    """
    n = int(rng.choice([100, 200, 400]))
    # Roughly: a half of the variance of an image is common to all configurations.
    error, missed = math.sqrt(level * (1 - level) / n / 2), 1 - level
    true = 1 - missed * np.exp(-draw_spread(rng) * error / missed * rng.standard_normal(m))
    true, right = draw_right(rng, np.clip(true, 0.01, 1 - 1e-9), n, seeds)
    places = rng.integers(0, n, (RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, None]
    often = np.bincount(places.ravel(), minlength=n * RESAMPLES).reshape(RESAMPLES, n)
    # Of 32 bits, which hold such counts exactly. One large product for all would be slower: its threads wait.
    draws = (right.astype(np.float32) @ often.T.astype(np.float32)).astype(float) / n
    return true, right.mean((1, 2)), measure_split(right.mean(2), draws, n, 1 / n)


def draw_right(rng: np.random.Generator, true: np.ndarray, n: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return true accuracies [m], and what is right [m, seeds, n]; some images are hard for all.

    Args:
        rng: Decides them.
        true: The accuracies over all images and seeds, [m].
        n: How many images.
        seeds: How many.
    """
    from scipy.special import ndtr, ndtri

    hard, seed_size, luck = 1.0, 0.125, 0.5
    skill = ndtri(true) * math.sqrt(1 + hard**2 + seed_size**2 + luck**2)
    own = rng.standard_normal((len(true), seeds, 1)) * seed_size
    chances = ndtr((skill[:, None, None] + hard * rng.standard_normal(n) + own) / math.sqrt(1 + luck**2))
    return true, rng.random((len(true), seeds, n)) < chances


def draw_folds(rng: np.random.Generator, m: int) -> Study:
    """Return means over five folds and three seeds; folds correlate by shared training images."""
    cells, true = draw_cells(rng, m, draw_spread(rng))
    return true, cells.mean((1, 2)), measure_folds(cells, 1 / 4)


def draw_top_folds(rng: np.random.Generator, m: int, level: float = 0.97) -> Study:
    """Return the same near the highest score: the roots of what is missed have the errors of `draw_folds`.

    Args:
        rng: Decides them.
        m: How many configurations.
        level: The score around which the true ones lie.
    """
    noise, error = draw_noise(rng, m, hard=1.0)
    size = rng.uniform(0.01, 0.05)  # as of 2500 down to 100 images in a fold
    spread = 2 * size * draw_spread(rng) * error / math.sqrt(1 - level)
    missed = np.minimum((1 - level) * np.exp(spread * rng.standard_normal(m)), 1.0)
    cells = 1 - np.clip(np.sqrt(missed)[:, None, None] + size * noise, 0.0, 1.0) ** 2
    return 1 - missed, cells.mean((1, 2)), measure_folds(cells, 1 / 4, top=1.0)


def draw_cells(rng: np.random.Generator, m: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores [m, 5 folds, 3 seeds] and the true ones [m]."""
    size = rng.uniform(0.005, 0.03)
    noise, error = draw_noise(rng, m)
    true = 0.8 + size * spread * error * rng.standard_normal(m)
    return true[:, None, None] + size * noise, true


def draw_noise(rng: np.random.Generator, m: int, hard: float = 2.0) -> tuple[np.ndarray, float]:
    """Return the noise of cells [m, 5 folds, 3 seeds], and about the error of a mean over folds.

    What training images do to a configuration is partly the same in all folds; a fold may be hard for all.

    Args:
        rng: Decides it.
        m: How many configurations.
        hard: How much folds differ for all, in deviations of what they do to one.
    """
    folds, seeds, shared = 5, 3, 1 / 5
    own = math.sqrt(shared) * rng.standard_normal((m, 1, 1)) + math.sqrt(1 - shared) * rng.standard_normal(
        (m, folds, 1)
    )
    noise = rng.uniform(0.3, 1) * rng.standard_normal((m, folds, seeds)) + hard * rng.standard_normal((1, folds, 1))
    return own + noise, math.sqrt(shared + (1 - shared) / folds)


KINDS: Mapping[str, Callable[[np.random.Generator, int], Study]] = {
    "normal errors": draw_normal,
    "a fifth of failures": lambda rng, m: draw_normal(rng, m, 0.2),
    "five folds, three seeds": draw_folds,
    "five folds, near 0.97": draw_top_folds,
    "images, accuracies near 0.8": lambda rng, m: draw_images(rng, m, 0.8),
    "images, accuracies near 0.97": lambda rng, m: draw_images(rng, m, 0.97),
}


# What the model does not foresee.
OTHERS: Mapping[str, Callable[[np.random.Generator, int], Study]] = {
    "true scores skewed down": lambda rng, m: draw_normal(rng, m, skew=-1),
    "true scores skewed up": lambda rng, m: draw_normal(rng, m, skew=1),
    "half are equal and best": lambda rng, m: draw_normal(rng, m, halves=True),
}


def judge_studies(kind: str, studies: int, seed: int, draws: int = 1000) -> np.ndarray:
    """Return for each study what was stated, and whether the claim was false: float [studies, 3], with m."""
    rng, found = np.random.default_rng(seed), []
    for number in range(studies):
        true, scores, errors = (KINDS | OTHERS)[kind](rng, int(rng.choice(COUNTS)))
        order = rng.permutation(len(true))  # of several with the highest score, any may be the first
        true, scores = true[order], scores[order]
        errors = ScoreErrors(errors.covariance[np.ix_(order, order)], errors.freedom)
        top = 1.0 if "0." in kind else math.inf
        lead = judge_best(scores, errors, seed=number, draws=draws, top=top)
        found.append((lead.false, float(np.argmax(true) != lead.best), len(true)))
    return np.array(found)


def list_bins(found: np.ndarray) -> list[tuple[float, float, int]]:
    """Return for each bin the mean of what was stated, how often it was so, and of how many studies."""
    places = np.minimum((found[:, 0] * BINS).astype(int), BINS - 1)
    kept = [found[places == place] for place in range(BINS) if (places == place).any()]
    return [(float(rows[:, 0].mean()), float(rows[:, 1].mean()), len(rows)) for rows in kept]


def train_equals(rng: np.random.Generator, m: int) -> np.ndarray:
    """Return AUCs [m, 5 folds, 3 seeds] of linear classifiers that are equally good in expectation.

    Each sees four features of its own of the same 150 images, of equal use to all, and learns a linear discriminant
    from the training images of a fold, of which its seed drops a fifth.
    """
    n, folds, seeds, features = 150, 5, 3, 4
    labels = np.arange(n) % 2
    # Images that are hard for one are hard for all: half of the noise is common.
    images = 0.7 * rng.standard_normal((m, n, features)) + 0.7 * rng.standard_normal((1, n, 1))
    images += 0.5 * labels[None, :, None]
    parts, cells = rng.permutation(n) % folds, np.empty((m, folds, seeds))
    for place, fold, seed in itertools.product(range(m), range(folds), range(seeds)):
        tested = parts == fold
        chosen = rng.permutation(np.flatnonzero(~tested))[: int(0.8 * (~tested).sum())]
        own, truth = images[place][chosen], labels[chosen]
        means = [own[truth == label].mean(0) for label in (0, 1)]
        within = np.cov((own - np.stack(means)[truth]).T)
        scores = images[place][tested] @ np.linalg.solve(within, means[1] - means[0])
        cells[place, fold, seed] = binary_auc(labels[tested] == 1, scores)
    return cells


def find_nothing(rng: np.random.Generator, m: int) -> dict[str, bool]:
    """Return which tests find a difference in studies of equal configurations."""
    found = {}
    for kind, cells in (("simulated", draw_cells(rng, m, 0.0)[0]), ("trained", train_equals(rng, m))):
        ranking = rank_places(cells.mean(2).T, test_share=1 / 4)
        found[f"{kind}, pairs"] = any((pair.p_holm or 0.0) < 0.05 for pair in compare_cells(cells, 1 / 4))
        found[f"{kind}, F of ranks"] = ranking.p < 0.05
        found[f"{kind}, critical difference"] = len(ranking.alike) != 1
    right = draw_right(rng, np.full(m, 0.85), 200, 3)[1]
    moves, images = (right - right.mean(2, keepdims=True)) / 200, SplitImages(np.zeros(200, int), None, 200)
    pairs = compare_seeds(right.mean(2), moves, images)
    return found | {"one split, pairs": any((pair.p_holm or 0.0) < 0.05 for pair in pairs)}


def count_nothing(studies: int, seed: int) -> dict[str, float]:
    """Return in which share of studies of 2 to 8 equal configurations each test finds a difference."""
    rng = np.random.default_rng(seed)
    found = [find_nothing(rng, int(rng.choice((2, 3, 5, 8)))) for _ in range(studies)]
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def main() -> None:
    """Simulate, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nothing", action="store_true", help="the second part")
    parser.add_argument("--kinds", nargs="+", choices=(*KINDS, *OTHERS), default=(*KINDS, *OTHERS))
    options = parser.parse_args()
    if options.nothing:
        print(count_nothing(options.studies, options.seed))
        return
    for kind in options.kinds:
        found = judge_studies(kind, options.studies, options.seed)
        print(f"{kind}: stated {found[:, 0].mean():.1%}, false {found[:, 1].mean():.1%}")
        print(*(f"  stated {said:.1%}, false {was:.1%}, of {n}" for said, was, n in list_bins(found)), sep="\n")
        for m in COUNTS:
            said, was = found[found[:, 2] == m, :2].mean(0)
            print(f"  of {m}: stated {said:.1%}, false {was:.1%}", flush=True)


if __name__ == "__main__":
    main()
