from types import SimpleNamespace

import pytest

from tlmed.advising.climbing import is_promising
from tlmed.advising.trials import Score


@pytest.mark.parametrize(
    ("metric", "value", "low", "promising"),
    [
        ("auc", 0.775, 0.42, True),  # of few images: the interval holds 0.5, and 0.775 is 1.5 standard errors above
        ("auc", 0.56, 0.40, False),
        ("auc", 0.45, 0.30, False),
        ("auc", 0.70, 0.60, True),
        ("auc", 0.70, None, False),
        ("accuracy", 0.45, 0.30, True),  # guessing has no fixed accuracy
    ],
)
def test_a_training_is_worth_its_time_where_the_best_lies_above_guessing_by_more_than_its_noise(
    metric, value, low, promising
):
    score = Score(metric, value, low, None if low is None else 1.0, "", 85, 5)
    assert is_promising(SimpleNamespace(score=score)) == promising
