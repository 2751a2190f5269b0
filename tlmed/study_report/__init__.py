"""What a study shows: its scores with their uncertainty, on a page, on a terminal and as a table."""

from tlmed.study_report.analysis import Analysis, analyse
from tlmed.study_report.search_page import write_search_page
from tlmed.study_report.search_scores import SearchRecord, read_search
from tlmed.study_report.search_sentences import describe_search, write_time
from tlmed.study_report.study_page import write_study_page
from tlmed.study_report.study_scores import StudyScores, read_study_scores
from tlmed.study_report.study_sentences import conclude, warn
from tlmed.study_report.study_terminal import describe_study_scores

__all__ = [
    "Analysis",
    "SearchRecord",
    "StudyScores",
    "analyse",
    "conclude",
    "describe_search",
    "describe_study_scores",
    "read_search",
    "read_study_scores",
    "warn",
    "write_search_page",
    "write_study_page",
    "write_time",
]
