"""How well labels follow from bins, or from many numbers: cross-validated areas under the ROC curve, many at once.

All areas are computed for the labels as they are and for labels that are permuted, in the same way, so that p-values
are exact whatever the cross-validation does. A bin's score is the share of positives among the other folds' images in
it; the area compares images of one fold, over all folds. That needs only counts of images by fold and bin.
"""

from collections.abc import Sequence

import numpy as np
from scipy import linalg, sparse

_SMOOTH = 2.0  # images by which the share in a bin is drawn towards that of all
_RIDGE = 1.0  # times the mean variance of a number: how much a linear model is shrunken
_CELLS = 2**21  # numbers in one table of counts at a time


class Bins:
    """Count images by nuisance, bin and fold.

    Args:
        bins: int [n] for each nuisance.
        folds: int [n], from 0.
    """

    def __init__(self, bins: Sequence[np.ndarray], folds: np.ndarray):
        n, used = len(folds), [int(each.max(initial=0)) + 1 for each in bins]
        self.shape = (len(bins), max(used, default=1), int(folds.max()) + 1)
        tests, most, amount = self.shape
        # Those with most bins come first, so that those with few need no work for bins that they have not.
        self.order = np.argsort(used)[::-1]
        self.having = [sum(each > bin for each in used) for bin in range(most)]
        sorted_bins = np.array(bins, int).reshape(tests, n)[self.order]
        cells = (np.arange(tests)[:, None] * most + sorted_bins) * amount + folds
        ones, images = np.ones(tests * n, np.float32), np.tile(np.arange(n), tests)
        self.counts = sparse.csr_array((ones, (cells.ravel(), images)), shape=(tests * most * amount, n))

    def measure(self, answers: np.ndarray) -> np.ndarray:
        """Return the area of each nuisance for each column of answers, float64 [tests, m]; 0.5 where none is defined.

        Args:
            answers: int8 [n, m] of 1, 0 and -1 (unknown).
        """
        step = max(_CELLS // max(np.prod(self.shape), 1), 1)
        parts = [answers[:, start : start + step] for start in range(0, answers.shape[1], step)]
        return np.concatenate([self._measure(part) for part in parts], axis=1)

    def count(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many images answer 1, and 0, float32 [tests, bins, folds, m] each; tests as in `bins`."""
        ones, zeros = self._count(answers)
        back = np.argsort(self.order)
        return ones[back], zeros[back]

    def _count(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ones = self.counts @ (answers == 1).astype(np.float32)
        known = answers >= 0
        # Where all answers are known, the other count is what is left of one that is the same for all columns.
        all_known = known.all()
        others = self.counts @ (np.ones((len(answers), 1), np.float32) if all_known else known.astype(np.float32))
        shape = (*self.shape, answers.shape[1])
        return ones.reshape(shape), (others - ones).reshape(shape)

    def _measure(self, answers: np.ndarray) -> np.ndarray:
        ones, zeros = self._count(answers)
        rates = find_rates(ones, zeros)
        wins = 0.5 * (ones * zeros).sum(axis=(1, 2), dtype=np.float64)
        for one, having in enumerate(self.having):
            for other in range(one):
                sign = np.sign(rates[:having, one] - rates[:having, other])
                up = ones[:having, one] * zeros[:having, other]
                down = ones[:having, other] * zeros[:having, one]
                wins[:having] += 0.5 * (up + down + sign * (up - down)).sum(axis=1, dtype=np.float64)
        areas = np.empty_like(wins)
        areas[self.order] = _divide(wins, (ones.sum(axis=1) * zeros.sum(axis=1)).sum(axis=1, dtype=np.float64))
        return areas


def find_rates(ones: np.ndarray, zeros: np.ndarray) -> np.ndarray:
    """Return the smoothed share of ones in each bin over all other folds, as `ones` and `zeros` are shaped."""
    ones, zeros = (part.sum(axis=2, keepdims=True) - part for part in (ones, zeros))
    total = ones.sum(axis=1, keepdims=True)
    mean = _divide(total, total + zeros.sum(axis=1, keepdims=True))
    return (ones + _SMOOTH * mean) / (ones + zeros + _SMOOTH)


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return a share; 0.5 where there is nothing to share."""
    return np.divide(part, whole, out=np.full(whole.shape, 0.5, part.dtype), where=whole > 0)


class Linear:
    """A linear model of many numbers of each image: ridge regression of answers, which ranks as a shrunken LDA.

    Args:
        values: [n, d], such as pixels of a small picture; each counts by its deviation.
        folds: int [n], from 0.
        random: Decides the order of images with equal scores: the order of paths often is that of classes.
        least: The deviation below which a number is not made larger.
    """

    def __init__(self, values: np.ndarray, folds: np.ndarray, random: np.random.RandomState, least: float = 1.0):
        values = values.astype(np.float32)
        values -= values.mean(axis=0)
        values /= np.maximum(values.std(axis=0), least)
        rows = [random.permutation(np.flatnonzero(folds == fold)) for fold in range(int(folds.max()) + 1)]
        self.values, self.folds = values, [each for each in rows if len(each)]
        self.penalty = _RIDGE * float((values**2).mean()) * len(values) or 1.0
        n, d = values.shape
        # With few images the matrix that leads from answers to scores is small; with many, that of numbers is.
        self.hat = self._find_hat() if n <= 2 * d else None
        self.inner = None if self.hat is not None else self._invert()

    def _find_hat(self) -> np.ndarray:
        """Return the matrix whose product with answers gives the scores of all images, float32 [n, n]."""
        products = self.values @ self.values.T
        hat = np.zeros_like(products)
        for test in self.folds:
            train = np.delete(np.arange(len(hat)), test)
            inner = products[np.ix_(train, train)]
            inner[np.diag_indices_from(inner)] += self.penalty
            solved = linalg.solve(inner, products[np.ix_(train, test)], assume_a="pos")
            hat[np.ix_(test, train)] = solved.T
        return hat

    def _invert(self) -> list[tuple[np.ndarray, bool]]:
        """Return for each fold the factors of the products of numbers over all other folds."""
        own = [self.values[test].T @ self.values[test] for test in self.folds]
        total = np.sum(own, axis=0)
        total[np.diag_indices_from(total)] += self.penalty
        return [linalg.cho_factor(total - each) for each in own]

    def score(self, answers: np.ndarray) -> np.ndarray:
        """Return the score of each image by a model of the other folds, float32 [n, m]; unknown answers teach none."""
        known = answers >= 0
        ones = (answers == 1).astype(np.float32)
        ones -= ones.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        ones *= known
        if self.hat is not None:
            return self.hat @ ones
        scores = np.empty(answers.shape, np.float32)
        own = [self.values[test].T @ ones[test] for test in self.folds]
        total = np.sum(own, axis=0)
        for test, inner, each in zip(self.folds, self.inner, own, strict=True):
            scores[test] = self.values[test] @ linalg.cho_solve(inner, total - each)
        return scores

    def measure(self, answers: np.ndarray) -> np.ndarray:
        """Return the area for each column of answers, float64 [m]; 0.5 where none is defined."""
        scores = self.score(answers)
        wins, pairs = np.zeros(answers.shape[1]), np.zeros(answers.shape[1])
        for test in self.folds:
            order = np.argsort(scores[test], axis=0)
            ranked = np.take_along_axis(answers[test], order, axis=0)
            ones, below = ranked == 1, np.cumsum(ranked == 0, axis=0, dtype=np.int32)
            wins += np.einsum("nm,nm->m", below, ones, dtype=np.float64)
            pairs += below[-1].astype(np.float64) * ones.sum(axis=0)
        return _divide(wins, pairs)
