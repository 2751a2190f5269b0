import pytest

from tlmed.advising.goals import read_goal
from tlmed.errors import InputError


@pytest.mark.parametrize(
    ("text", "metric", "least", "target", "threshold"),
    [
        ("auc", "auc", None, "auc", None),
        ("AUC >= 0.9", "auc", 0.9, "auc", None),
        ("accuracy", "accuracy", None, "accuracy", None),
        ("sensitivity>=0.95", "auc", 0.95, "sensitivity", "sensitivity>=0.95"),
        ("specificity>=0.9", "auc", 0.9, "specificity", "specificity>=0.9"),
    ],
)
def test_a_goal_names_what_decides_and_what_has_to_be_reached(text, metric, least, target, threshold):
    goal = read_goal(text)
    assert (goal.metric, goal.least, goal.target, goal.threshold) == (metric, least, target, threshold)
    for sign in (" >=  ", " ≥ "):  # the same command goes on
        assert read_goal(f" {text.upper().replace('>=', sign)} ") == goal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sensitivity", "needs a least value for a sensitivity"),
        ("acuracy", "Did you mean 'accuracy'"),
        ("log_loss", "`--goal` must be one of auc"),
        ("average_precision", "`--goal` must be one of auc"),
        ("auc>=1.5", "above 0 and up to 1"),
        ("auc>=0", "above 0 and up to 1"),
        ("auc>0.9", "after >=, not after >: auc>=0.9. Received: 'auc>0.9'"),
        ("Sensitivity > 0.95", "after >=, not after >: sensitivity>=0.95. Received"),
        ("sensitivity<=0.9", "a least value only, after >=, such as sensitivity>=0.9. Received: 'sensitivity<=0.9'"),
        ("Specificity = 0.9", "a least value only"),
        ("auc=>0.9", "a least value only"),
        ("auc>=high", "`--goal` must be one of auc"),
        ("", "`--goal` must be one of auc"),
    ],
)
def test_a_goal_that_cannot_decide_is_refused_with_what_would_be_right(text, said):
    with pytest.raises(InputError) as refused:
        read_goal(text)
    assert said in str(refused.value)
