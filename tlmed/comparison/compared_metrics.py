"""The metrics by which runs are compared, and what they are called."""

from collections.abc import Sequence

from tlmed.comparison.results import Result
from tlmed.evaluation.label_lines import name_whole
from tlmed.metrics.label_differences import MATCH
from tlmed.metrics.names import name_inline
from tlmed.tasks import MULTI_LABEL, ORDINAL, PRIMARY, read_task

QUESTIONS = ("auc", "accuracy", "sensitivity", "specificity", "f1", "brier")
COST, ERROR = "expected_cost", "mean_absolute_error"  # the lower the better, as the Brier score
_MAIN = ("auc", "accuracy")  # of which sentences and pictures speak


def list_questions(results: Sequence[Result]) -> tuple[str, ...]:
    """Return the metrics by which some runs are compared.

    Runs that all predict grades are compared by their primary metric first, and by the absolute error; runs of several
    labels also by whole answers; runs that state the same costs also by the expected cost.
    """
    tasks = {read_task(result.metrics) for result in results}
    if tasks == {MULTI_LABEL}:
        return (*QUESTIONS, MATCH)
    graded = tasks == {ORDINAL}
    costs = (COST,) if state_same_costs(results) else ()
    return (*((PRIMARY[ORDINAL],) if graded else ()), *QUESTIONS, *((ERROR,) if graded else ()), *costs)


def state_same_costs(results: Sequence[Result]) -> bool:
    """Tell whether runs say what errors cost, and all the same."""
    costs = [result.metrics.get("costs") for result in results]
    return bool(costs[0]) and all(cost == costs[0] for cost in costs)


def choose_main(questions: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics of which sentences and pictures speak, the one that decides first."""
    return tuple(name for name in questions if name in (PRIMARY[ORDINAL], *_MAIN))


def name_question(question: str, results: Sequence[Result]) -> str:
    """Return the name of a metric within a sentence: of several labels, whose labels have it too, that of their mean.

    Args:
        question: The metric.
        results: The runs that are compared.
    """
    return name_inline(question) if question == MATCH else name_whole(question, results[0].metrics)
