"""Compare several runs on the same test images: their differences, with tests, and the cost of each."""

from tlmed.comparison.compared_metrics import QUESTIONS
from tlmed.comparison.files import check_targets, write_comparison
from tlmed.comparison.page import make_comparison_page
from tlmed.comparison.pairs import LEVEL, Comparison, Pair, compare
from tlmed.comparison.results import Result, read_results
from tlmed.comparison.sentences import conclude
from tlmed.comparison.terminal import describe_comparison

__all__ = [
    "LEVEL",
    "QUESTIONS",
    "Comparison",
    "Pair",
    "Result",
    "check_targets",
    "compare",
    "conclude",
    "describe_comparison",
    "make_comparison_page",
    "read_results",
    "write_comparison",
]
