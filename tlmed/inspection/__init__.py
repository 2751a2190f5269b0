"""Inspect data before training: run the gate over images, a recipe's or a run's, and show what it found.

Begin with `inquiry`: `check` is the function for Python, `tlmed.check`.
"""

import tlmed.tensorflow_start

from tlmed.gate.corrected_table import check_correctable
from tlmed.inspection.check_files import CHECK_JSON, CHECK_PAGE, Targets, check_targets, write_check
from tlmed.inspection.inquiry import Inquiry, check, inspect, say_errors
from tlmed.inspection.subjects import Subject, open_run, open_subject

__all__ = [
    "CHECK_JSON",
    "CHECK_PAGE",
    "Inquiry",
    "Subject",
    "Targets",
    "check",
    "check_correctable",
    "check_targets",
    "inspect",
    "open_run",
    "open_subject",
    "say_errors",
    "write_check",
]
