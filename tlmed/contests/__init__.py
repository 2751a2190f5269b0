"""Contests of configurations: what their scores over folds, seeds and images tell apart, and what is chance."""

from tlmed.contests.false_leads import Lead, judge_best
from tlmed.contests.mean_ranks import Ranking, find_critical_difference, rank_places, rank_scores
from tlmed.contests.pareto_fronts import find_front
from tlmed.contests.rank_correlations import RankCorrelation, correlate_ranks
from tlmed.contests.score_errors import (
    ScoreErrors,
    add_errors,
    draw_means,
    measure_folds,
    measure_split,
)
from tlmed.contests.seed_means import (
    SeedDifference,
    SeedMean,
    average_cells,
    compare_cells,
)
from tlmed.contests.signed_ranks import Preference, compare_places
from tlmed.contests.split_means import SplitImages, average_seeds, compare_seeds
from tlmed.contests.variance_shares import VarianceShares, divide_variance

__all__ = [
    "Lead",
    "Preference",
    "RankCorrelation",
    "Ranking",
    "ScoreErrors",
    "SeedDifference",
    "SeedMean",
    "SplitImages",
    "VarianceShares",
    "add_errors",
    "average_cells",
    "average_seeds",
    "compare_cells",
    "compare_places",
    "compare_seeds",
    "correlate_ranks",
    "divide_variance",
    "draw_means",
    "find_critical_difference",
    "find_front",
    "judge_best",
    "measure_folds",
    "measure_split",
    "rank_places",
    "rank_scores",
]
