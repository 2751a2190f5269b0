"""Planted wrong labels: how many of them the gate finds, beside cleanlab, and whether its estimate covers the truth.

    python benchmarks/gate_labels.py found busi cxr-pediatric [--seeds 5]
    python benchmarks/gate_labels.py estimates [--seeds 40]
    python benchmarks/gate_labels.py speed

The first needs cleanlab in the environment, and folders or tables of images. Features are MobileNetV2's; with
`--features FOLDER` they are kept there. Each prints a Markdown table.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tlmed.gate.grouped_folds import join_owners
from tlmed.gate.outliers import find_far
from tlmed.gate.wrong_labels import Asked, Suspicion, choose_sure, suspect
from tlmed.logistic import project

RATES = (0.05, 0.1, 0.2)
FILTERS = (
    *("prune_by_noise_rate", "prune_by_class", "both", "confident_learning"),
    *("predicted_neq_given", "low_normalized_margin", "low_self_confidence"),
)
RANKS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def read(source: str, kept: Path | None):
    """Return the name of a set, its features, labels, owners and class names."""
    from tlmed import FeatureExtractor
    from tlmed.data import load

    images = load(source, (224, 224))
    table, name = images.table, Path(source).stem if Path(source).is_dir() else Path(source).parent.name
    file = kept / f"{name}-features.npy" if kept else None
    if file and file.is_file():
        features = np.load(file)
    else:
        features = FeatureExtractor(weights="imagenet").fit_transform([str(table.root / path) for path in table.paths])
        if file:
            np.save(file, features)
    parts = [np.unique(part, return_inverse=True)[1] for part in (table.groups, images.sha256) if part is not None]
    return name, np.asarray(features, np.float32), table.labels, join_owners(parts), table.classes


def list_tasks(sources, kept):
    """Yield the sets; of one with a class "malignant" and three classes, also benign against malignant."""
    for source in sources:
        name, features, labels, owners, classes = read(source, kept)
        if classes == ("benign", "malignant", "normal"):
            rows = labels < 2
            own = np.unique(owners[rows], return_inverse=True)[1]
            yield f"{name}, 2 classes", features[rows], labels[rows], own, classes[:2]
        yield f"{name}, {len(classes)} classes", features, labels, owners, classes


def flip(labels: np.ndarray, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which a share is replaced by another class at random, and which ones."""
    random, classes = np.random.RandomState(seed), labels.max() + 1
    rows = random.choice(len(labels), round(rate * len(labels)), replace=False)
    given, flipped = labels.copy(), np.zeros(len(labels), bool)
    given[rows] = (labels[rows] + random.randint(1, classes, size=len(rows))) % classes
    flipped[rows] = True
    return given, flipped


def look(features, given, owners, classes, seed) -> Suspicion:
    """Return what the gate says of given labels."""
    return suspect(features, owners, seed, Asked(np.arange(len(given)), given, tuple(classes), ""))


def precision(order: np.ndarray, flipped: np.ndarray) -> float:
    """Return the share of planted labels among the first k of an order, k being how many were planted."""
    return float(flipped[order[: flipped.sum()]].mean())


def ask_cleanlab(given: np.ndarray, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Return the orders of all of cleanlab's methods; what a filter leaves out follows by the score that ranks it."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    orders = {}
    for rank in RANKS:
        scores = get_label_quality_scores(given, probabilities, method=rank)
        orders[rank] = rest = np.argsort(scores, kind="stable")
        for way in FILTERS:
            first = find_label_issues(
                given, probabilities, filter_by=way, return_indices_ranked_by=rank, n_jobs=1, verbose=False
            )
            orders[f"{way} / {rank}"] = np.concatenate([first, rest[~np.isin(rest, first)]])
    return orders


def ask_scikit_learn(features: np.ndarray, given: np.ndarray, seed: int) -> np.ndarray:
    """Return probabilities from scikit-learn's own cross-validation of a logistic regression, as cleanlab advises."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    penalties = 1 / (np.array([3, 0.3, 0.03]) * len(given))
    model = LogisticRegressionCV(Cs=penalties, cv=3, scoring="neg_log_loss", max_iter=1000, use_legacy_attributes=False)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return cross_val_predict(make_pipeline(StandardScaler(), model), features, given, cv=folds, method="predict_proba")


def measure_found(sources, seeds: int, kept: Path | None) -> None:
    """Print precision at k of planted labels, and of findings, beside cleanlab's best method."""
    print(
        "| set | flipped | precision at k | cleanlab's best, its own probabilities | its best, on ours | findings | "
        "planted among them | estimate (95 % interval) | planted |\n|:--|--:|--:|:--|:--|--:|--:|--:|--:|"
    )
    for name, features, labels, owners, classes in list_tasks(sources, kept):
        turned = project(features).astype(float)
        for rate in (0.0, *RATES):
            mine, findings, estimates, theirs, ours = [], [], [], [], []
            for seed in range(seeds):
                given, flipped = flip(labels, rate, seed)
                found = look(turned, given, owners, classes, seed)
                sure = choose_sure(found)
                findings.append((len(sure), flipped[sure].sum()))
                estimates.append((found.expected[0], *find_interval(found)))
                if not rate:
                    continue
                mine.append(precision(np.argsort(found.confidence, kind="stable"), flipped))
                own = ask_scikit_learn(project(features), given, seed)
                theirs.append({way: precision(order, flipped) for way, order in ask_cleanlab(given, own).items()})
                others = ask_cleanlab(given, found.probabilities)
                ours.append({way: precision(order, flipped) for way, order in others.items()})
            many, hits = np.sum(findings, 0)
            middle = [f"{value:.0f}" for value in np.mean(estimates, 0)]
            cells = [
                name,
                f"{rate:.0%}",
                *([f"{np.mean(mine):.3f}", best(theirs), best(ours)] if rate else ["", "", ""]),
            ]
            cells += [
                f"{many / seeds:.0f}",
                f"{hits / many:.0%}" if many else "",
                f"{middle[0]} ({middle[1]} to {middle[2]})",
            ]
            print(f"| {' | '.join(cells)} | {flipped.sum()} |", flush=True)


def best(found: list[dict[str, float]]) -> str:
    """Return the method with the best mean over seeds, and that mean."""
    means = {way: np.mean([one[way] for one in found]) for way in found[0]}
    way = max(means, key=means.get)
    return f"{means[way]:.3f} ({way})"


def draw(n: int, classes: int, apart: float, random) -> tuple[np.ndarray, np.ndarray]:
    """Return features and true labels: normal clouds in 40 dimensions, so far apart along random directions."""
    centres = random.randn(classes, 40)
    centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
    labels = random.choice(classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    return (centres[labels] + random.randn(n, 40)).astype(np.float32), labels


def find_interval(found: Suspicion) -> tuple[float, float]:
    """Return the ends of the interval of the number of wrong labels, as `check_labels` states them."""
    return float(np.percentile(found.least[1:], 2.5)), float(np.percentile(found.expected[1:], 97.5))


def measure_estimates(seeds: int) -> None:
    """Print how often the interval of the number of wrong labels covers the truth, where the truth is known."""
    print(
        "| images | classes | distance | flipped | mean estimate | mean interval | covered | findings | right |\n"
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    for n, classes, apart in ((400, 2, 1.5), (2000, 2, 1.5), (2000, 2, 2.5), (2000, 4, 3.0)):
        for rate in (0.0, *RATES):
            rows, covered, findings = [], [], []
            for seed in range(seeds):
                random = np.random.RandomState(1000 + seed)
                features, labels = draw(n, classes, apart, random)
                given, flipped = flip(labels, rate, seed)
                found = look(project(features).astype(float), given, np.arange(n), map(str, range(classes)), seed)
                low, high = find_interval(found)
                rows.append((found.expected[0], low, high))
                covered.append(round(low) <= flipped.sum() <= round(high))
                sure = choose_sure(found)
                findings.append((len(sure), flipped[sure].sum()))
            middle, low, high = np.mean(rows, 0)
            many, hits = np.sum(findings, 0)
            right = f"{hits / many:.0%}" if many else ""
            print(
                f"| {n} | {classes} | {apart} | {flipped.sum()} | {middle:.0f} | {low:.0f} to {high:.0f} | "
                f"{np.mean(covered):.0%} | {many / seeds:.0f} | {right} |",
                flush=True,
            )


def measure_speed() -> None:
    """Print how long each part takes on made-up features."""
    print("| images | classes | labels, s | outliers, s | seconds of processors |\n|--:|--:|--:|--:|--:|")
    for n, classes in ((10_000, 2), (10_000, 5), (100_000, 2)):
        random = np.random.RandomState(0)
        features = random.standard_normal((n, 1280)).astype(np.float32) * np.exp(
            -np.arange(1280, dtype=np.float32) / 200
        )
        labels = (features[:, :classes] + random.randn(n, classes)).argmax(1)
        start, used = time.perf_counter(), time.process_time()
        look(project(features).astype(float), labels, np.arange(n), map(str, range(classes)), 0)
        middle = time.perf_counter()
        find_far(project(features))
        end = time.perf_counter()
        print(
            f"| {n:,} | {classes} | {middle - start:.1f} | {end - middle:.1f} | {time.process_time() - used:.1f} |",
            flush=True,
        )


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["found", "estimates", "speed"])
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--features", type=Path)
    arguments = parser.parse_args()
    threadpool_limits(1, user_api="blas")  # as the gate conducts its checks
    warnings.filterwarnings("ignore", module="cleanlab|sklearn")
    if arguments.part == "found":
        measure_found(arguments.sources, arguments.seeds, arguments.features)
    elif arguments.part == "estimates":
        measure_estimates(arguments.seeds)
    else:
        measure_speed()


if __name__ == "__main__":
    main()
