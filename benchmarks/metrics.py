"""Measure how long intervals take, and against scikit-learn with the same resamples.

    python benchmarks/metrics.py

DeLong's interval of 100,000 cases is to take under a second, and 2,000 resamples of all metrics of 10,000 images
of five classes under 20 seconds on two cores. scikit-learn rates a few of the same resamples, for a ratio.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from sklearn import metrics as reference

from tlmed.metrics import evaluate
from tlmed.metrics.areas import area_interval
from tlmed.metrics.definitions import make_case, rate
from tlmed.metrics.resampling import draw_weights


def clock(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def draw_images(images: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, probabilities that know something, and their argmax."""
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(classes, size=images), rng.dirichlet(np.ones(classes), images)
    scores[np.arange(images), labels] += 0.3
    scores /= scores.sum(axis=1, keepdims=True)
    return labels, scores, scores.argmax(axis=1)


def ask_scikit_learn(labels, scores, guesses, weights) -> None:
    """Compute the metrics of one resample, but the calibration error, which scikit-learn does not have."""
    w = {"sample_weight": weights}
    classes = range(scores.shape[1])
    reference.accuracy_score(labels, guesses, **w)
    reference.precision_recall_fscore_support(labels, guesses, average=None, zero_division=0, **w)
    reference.matthews_corrcoef(labels, guesses, **w)
    reference.log_loss(labels, scores, **w)
    reference.brier_score_loss(labels, scores, **w)
    for kind in (None, "quadratic"):
        reference.cohen_kappa_score(labels, guesses, weights=kind, **w)
    for c in classes:
        reference.roc_auc_score(labels == c, scores[:, c], **w)
        reference.average_precision_score(labels == c, scores[:, c], **w)
        reference.recall_score(labels != c, guesses != c, **w)
        reference.precision_score(labels != c, guesses != c, **w)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, help="of two classes, for DeLong's interval")
    parser.add_argument("--images", type=int, default=10_000, help="of five classes, for the resamples")
    parser.add_argument("--draws", type=int, default=2_000)
    parser.add_argument("--few", type=int, default=10, help="resamples that scikit-learn rates")
    given = parser.parse_args()

    labels, scores, _ = draw_images(given.cases, 2)
    seconds = clock(lambda: area_interval(labels == 1, scores[:, 1]))
    print(f"DeLong's interval of {given.cases:,} cases: {seconds:.2f} s")

    case = draw_images(given.images, 5)
    seconds = clock(lambda: evaluate(*case, list("abcde"), draws=given.draws))
    print(f"all metrics of {given.images:,} images of 5 classes, {given.draws:,} resamples: {seconds:.1f} s")

    (weights,) = draw_weights(np.arange(given.images), given.few, 0, "test")
    theirs = clock(lambda: [ask_scikit_learn(*case, column) for column in weights.T]) / given.few
    ready = make_case(*case, None)
    (many,) = draw_weights(np.arange(given.images), 100, 0, "test")
    ours = clock(lambda: rate(ready, many)) / 100
    print(f"one resample: {1e3 * ours:.2f} ms, scikit-learn {1e3 * theirs:.0f} ms, {theirs / ours:.0f} times as long")


if __name__ == "__main__":
    main()
