"""Time paths of logistic regressions of 13 strengths, beside scikit-learn's, on features as a network pools them.

python benchmarks/linear_heads.py                 the small and the middle size, both solvers
python benchmarks/linear_heads.py --large         100,000 rows that are read from a file, and the memory that it takes
python benchmarks/linear_heads.py --nested        heads on 8 nested subsets, as learning curves need them
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tlmed.logistic import aim_at_classes, fit_nested, hold, solve_path

STRENGTHS = np.geomspace(10, 1e-4, 13)
SIZES = ((780, 1280, 3), (6000, 1280, 5))
LARGE = (100_000, 1280, 5)
RANK = 60  # directions that the features share
NESTED = ((100, 50), (400, 128), (2000, 128), (5000, 128))
REPEATS = 5


def draw(n, d, classes, seed=0):
    """Return features of 0 or above with a few common directions, float32 [n, d], and labels that follow from them."""
    random = np.random.RandomState(seed)
    common, direct = random.randn(RANK, d).astype(np.float32) / 2, random.randn(d, classes).astype(np.float32)
    features, scores = np.empty((n, d), np.float32), np.empty((n, classes), np.float32)
    for start in range(0, n, 5000):
        rows = slice(start, min(start + 5000, n))
        size = rows.stop - rows.start
        shared = random.randn(size, RANK).astype(np.float32) @ common
        features[rows] = np.maximum(shared + random.randn(size, d).astype(np.float32) / 2, 0)
        scores[rows] = features[rows] @ direct
    return features, (scores + scores.std() / 2 * random.randn(n, classes)).argmax(1)


def fit_by_scikit_learn(features, labels):
    """Return kernel, bias of each strength by scikit-learn, each fit started from the one before."""
    scaler = StandardScaler()
    standard = scaler.fit_transform(features)
    solver = LogisticRegression(max_iter=2000, warm_start=True)
    for l2 in STRENGTHS:
        solver.C = 1 / (len(labels) * l2)
        solver.fit(standard, labels)
        kernel = solver.coef_ / scaler.scale_
        yield kernel.T, solver.intercept_ - kernel @ scaler.mean_


def loss_of(kernel, bias, features, labels, l2):
    """Return what both solvers minimise."""
    scores = log_softmax(features.astype(float) @ kernel + bias, axis=1)
    penalty = l2 / 2 * np.square(kernel * features.std(0, dtype=float)[:, None]).sum()
    return -scores[np.arange(len(labels)), labels].mean() + penalty


def compare(n, d, classes):
    """Print a row: seconds of both, their ratio, and the largest difference of the penalised loss."""
    features, labels = draw(n, d, classes)
    begin = time.perf_counter()
    ours = list(solve_path(hold(features), aim_at_classes(labels, classes), STRENGTHS))
    middle = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = list(fit_by_scikit_learn(features, labels))
    end = time.perf_counter()
    more = max(
        loss_of(one.kernel, one.bias, features, labels, one.l2) - loss_of(*other, features, labels, one.l2)
        for one, other in zip(ours, theirs, strict=True)
    )
    seconds = middle - begin, end - middle
    print(
        f"| {n:,} x {d:,}, {classes} classes | {seconds[0]:.2f} | {seconds[1]:.1f} | {seconds[1] / seconds[0]:.0f} "
        f"| {more:.1e} |"
    )


def stream():
    """Print seconds and memory of a path whose features are in a file."""
    n, d, classes = LARGE
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        features, labels = draw(n, d, classes)
        np.save(path, features)
        del features
        mapped = np.load(path, mmap_mode="r")
        anonymous = _own_memory()
        begin = time.perf_counter()
        most = 0
        for _ in solve_path(hold(mapped), aim_at_classes(labels, classes), STRENGTHS):
            most = max(most, _own_memory())
        seconds = time.perf_counter() - begin
    print(f"{n:,} x {d:,}, {classes} classes, read from a file of {n * d * 4 / 2**20:.0f} MB: {seconds:.0f} s")
    print(f"memory of its own: {(most - anonymous) / 2**20:.0f} MB more")


def nest(n, d):
    """Print a row: milliseconds of `fit_nested` and of `solve_path` for 8 nested subsets, and their ratio."""
    random = np.random.RandomState(0)
    positive = random.rand(n) < 0.4
    features = (random.standard_normal((n, d)) * np.geomspace(1, 0.1, d)).astype(np.float32)
    features[:, :5] += 0.7 * positive[:, None]
    penalty = float(np.square(features, dtype=float).sum(1).mean()) / 4
    order = random.permutation(n)
    subsets = [order[: max(20, int(share * n))] for share in np.geomspace(0.1, 1, 8)]
    levels = [[], []]

    def follow_path():
        for rows in subsets:
            targets = aim_at_classes(positive[rows].astype(int), 2)
            [last] = solve_path(hold(features[rows]), targets, (penalty / len(rows),), scaled=False)
        return features @ last.kernel[:, 0] + last.bias

    def follow_subsets():
        weights, level = fit_nested(features, positive, subsets, penalty)
        return features @ weights[-1] + level[-1]

    for _ in range(REPEATS):
        scores = []
        for kept, fit in zip(levels, (follow_subsets, follow_path), strict=True):
            begin = time.perf_counter()
            scores.append(fit())
            kept.append(1000 * (time.perf_counter() - begin))
    ours, others = map(min, levels)
    differ = np.abs(scores[0] - scores[1]).max()
    print(f"| {n:,} x {d} | {ours:.1f} | {others:.1f} | {others / ours:.0f} | {differ:.1e} |")


def _own_memory():
    """Return the bytes of the process that are no pages of a file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--nested", action="store_true")
    asked = parser.parse_args()
    if asked.large:
        stream()
    elif asked.nested:
        print("| features | fit_nested, ms | solve_path, ms | times | log-odds differ by |")
        print("| :-- | --: | --: | --: | --: |")
        for size in NESTED:
            nest(*size)
    else:
        print("| features | tlmed, s | scikit-learn, s | times | loss above scikit-learn's, at most |")
        print("| :-- | --: | --: | --: | --: |")
        for size in SIZES:
            compare(*size)
