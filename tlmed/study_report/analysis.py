"""What the scores of a study tell apart, and what is chance."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tlmed.contests import (
    Lead,
    Preference,
    RankCorrelation,
    Ranking,
    SeedDifference,
    SeedMean,
    VarianceShares,
    average_cells,
    average_seeds,
    compare_cells,
    compare_places,
    compare_seeds,
    correlate_ranks,
    divide_variance,
    find_front,
    judge_best,
    measure_folds,
    measure_split,
    rank_places,
)
from tlmed.errors import InputError
from tlmed.metrics.names import name_inline
from tlmed.study_report.study_scores import SIZE, StudyScores

LEVEL = 0.05
REGION = 0.01  # differences of a score up to it count as equal for practical ends
_FEWEST_PLACES = 5  # folds, for mean ranks and for practical equivalence: fewer say too much or nothing


@dataclass(frozen=True, eq=False)
class Analysis:
    """The analysis of a study; a part that its cells do not allow is None, and `notes` say why.

    Attributes:
        scores: What was analysed.
        means: Of each configuration.
        order: The configurations from the best to the worst mean.
        pairs: The difference of every two.
        ranking: Mean ranks over folds.
        lead: How probable it is that the best is not the best.
        preferences: For each other configuration, that the best is better than it, equal or worse.
        shares: Where the variance of the scores comes from.
        front: The configurations that no other beats in score and seconds, and in score and parameters.
        sizes: The rank correlation of data size and score, where shares of the training images are varied.
        notes: What could not be said, and why.
    """

    scores: StudyScores
    means: tuple[SeedMean, ...]
    order: tuple[int, ...]
    pairs: tuple[SeedDifference, ...]
    ranking: Ranking | None
    lead: Lead | None
    preferences: Mapping[int, Preference]
    shares: VarianceShares | None
    front: Mapping[str, tuple[int, ...]]
    sizes: RankCorrelation | None
    notes: tuple[str, ...]

    @property
    def best(self) -> int:
        """Return the configuration with the highest mean."""
        return self.order[0]

    def find_pair(self, first: int, second: int) -> tuple[SeedDifference, int]:
        """Return the difference of two configurations, and 1, or -1 if it is that of the second less the first."""
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair, 1
            if (pair.first, pair.second) == (second, first):
                return pair, -1
        raise InputError(f"Two configurations must be compared. Received: {first} and {second}.")


def analyse(scores: StudyScores) -> Analysis:
    """Return what the scores of a study tell apart.

    Args:
        scores: Of two configurations or more, from `read_study_scores`.
    """
    notes: list[str] = []
    means, pairs = compare_all(scores, notes)
    order = tuple(int(place) for place in np.argsort(-scores.means, kind="stable"))
    costs = {
        "seconds": [each.seconds for each in scores.configurations],
        "millions": [each.millions for each in scores.configurations],
    }
    return Analysis(
        scores,
        means,
        order,
        pairs,
        _rank(scores, notes),
        _judge(scores, notes),
        _prefer(scores, order[0], notes),
        _divide(scores, notes),
        {
            name: tuple(np.flatnonzero(find_front(scores.means, np.array(cost))).tolist())
            for name, cost in costs.items()
        },
        _correlate(scores),
        tuple(dict.fromkeys([*notes, *(mean.note for mean in means if mean.note)])),
    )


def compare_all(scores: StudyScores, notes: list[str]) -> tuple[tuple[SeedMean, ...], tuple[SeedDifference, ...]]:
    """Return the mean of each configuration and the difference of every two; what they do not say goes to `notes`."""
    return _compare_folds(scores) if scores.has_folds else _compare_seeds(scores, notes)


def _compare_folds(scores) -> tuple[tuple[SeedMean, ...], tuple[SeedDifference, ...]]:
    m, width = len(scores.configurations), scores.range[1] - scores.range[0]
    units = np.eye(m)
    means = tuple(
        average_cells(scores.values[i], scores.test_share, scores.range, scores.find_spreads(units[i]), scores.repeats)
        for i in range(m)
    )
    spreads = {(i, j): scores.find_spreads(units[i] - units[j]) for i, j in itertools.combinations(range(m), 2)}
    known = spreads if scores.tells_images else None
    return means, compare_cells(scores.values, scores.test_share, (-width, width), known, scores.repeats)


def _compare_seeds(scores, notes) -> tuple[tuple[SeedMean, ...], tuple[SeedDifference, ...]]:
    """Compare on one split: other images are known from resamples of the test images."""
    notes.append(
        "The images are divided once: what is said here holds for other test images and other seeds, and not for "
        "other training images, for which folds are needed."
    )
    if not scores.tells_images:
        notes.append("For images with several labels, intervals need folds: no interval and no test is given.")
        means = [average_cells(row, scores.test_share, scores.range) for row in scores.values]
        return tuple(means), ()
    images, moves, width = scores.images, scores.influences[0], scores.range[1] - scores.range[0]
    means = tuple(
        average_seeds(scores.list_entries(place), own, images, scores.range) for place, own in enumerate(moves)
    )
    notes.extend(_say_few(scores, means))
    return means, compare_seeds(scores.values[:, 0], moves, images, (-width, width))


def _say_few(scores, means) -> list[str]:
    """Say on how few test images of one split, or groups, all rests; a mean without an interval says so itself."""
    said = [f"{name_inline(scores.metric)} of the test images: {scores.few}"] if scores.few else []
    if len(means) > 1 and (few := scores.images.few):
        said.append(f"Differences have no interval and no test: {few}")
    return said if any(mean.low is not None for mean in means) else said[1:]


def _rank(scores, notes) -> Ranking | None:
    if len(scores.folds) < _FEWEST_PLACES:
        notes.append(f"Mean ranks need {_FEWEST_PLACES} folds or more.")
        return None
    return rank_places(scores.values.mean(2).T, test_share=scores.test_share)


def _judge(scores, notes) -> Lead | None:
    top = scores.range[1]
    if scores.has_folds and len(scores.folds) > 1:
        errors = measure_folds(scores.values, scores.test_share, top)
    elif scores.tells_images:
        if few := scores.images.few:
            notes.append(f"It is not said how probable it is that the best is not the best: {few}")
            return None
        draws, units = scores.draws[0], scores.images.units
        # By what one image or group can move a score: where no image tells two apart, that is little and not nothing.
        errors = measure_split(scores.values[:, 0], draws, units, 1 / units)
    else:
        notes.append("How probable it is that the best is not the best needs folds.")
        return None
    try:
        return judge_best(scores.means, errors, REGION, top=top)
    except InputError as error:  # scores differ, and nothing tells by how much they err
        notes.append(" ".join(error.faults))
        return None


def _prefer(scores, best, notes) -> dict[int, Preference]:
    if len(scores.folds) < _FEWEST_PLACES:
        notes.append(f"Whether two are equal for practical ends needs {_FEWEST_PLACES} folds or more.")
        return {}
    of_fold = scores.values.mean(2)
    return {
        other: compare_places(of_fold[best], of_fold[other], REGION, seed=0)
        for other in range(len(of_fold))
        if other != best
    }


def _divide(scores, notes) -> VarianceShares | None:
    """Divide the variance by all fields in which cells differ, and by fold; what is left varies with the seed."""
    m, folds, seeds = scores.values.shape
    places = np.indices((m, folds, seeds)).reshape(3, -1)
    fields = list(scores.configurations[0].fields)
    factors = {name: [scores.configurations[i].fields[name] for i in places[0]] for name in fields}
    if scores.has_folds:
        factors["fold"] = [scores.folds[fold] for fold in places[1]]
    varied = {name: values for name, values in factors.items() if len(set(values)) > 1}
    try:
        return divide_variance(scores.values.ravel(), varied)
    except InputError as error:
        notes.append(f"Where the variance comes from is not said: {' '.join(error.faults)}")
        return None


def _correlate(scores) -> RankCorrelation | None:
    if SIZE not in scores.configurations[0].fields:
        return None
    sizes = np.array([each.train_images for each in scores.configurations])
    return correlate_ranks(sizes, scores.means)
