"""What a study shows: its scores with their uncertainty, on a page, on a terminal and as a table."""

from tlmed.study_report.analysis import Analysis, analyse
from tlmed.study_report.study_page import write_study_page
from tlmed.study_report.study_scores import StudyScores, read_study_scores
from tlmed.study_report.study_sentences import conclude, warn
from tlmed.study_report.study_terminal import describe_study_scores

__all__ = [
    "Analysis",
    "StudyScores",
    "analyse",
    "conclude",
    "describe_study_scores",
    "read_study_scores",
    "warn",
    "write_study_page",
]
