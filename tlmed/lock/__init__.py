"""Locks: all that decided a run, and its results, in one file with which the run can be repeated and checked.

A lock is data: reading one, or training from one, runs no code that it brings along.
"""

from tlmed.lock.agreement import Row, compare_history, compare_results
from tlmed.lock.file import Lock, read_lock, write_lock
from tlmed.lock.input_differences import Difference, compare_inputs, find_causes
from tlmed.lock.inputs import describe_inputs
from tlmed.lock.levels import LEVELS, choose_level
from tlmed.lock.lock_json import describe_results, make_lock
from tlmed.lock.reproduction import Reproduction, to_junit, to_lines, to_markdown
from tlmed.lock.why import explain

__all__ = [
    "LEVELS",
    "Difference",
    "Lock",
    "Reproduction",
    "Row",
    "choose_level",
    "compare_history",
    "compare_inputs",
    "compare_results",
    "describe_inputs",
    "describe_results",
    "explain",
    "find_causes",
    "make_lock",
    "read_lock",
    "to_junit",
    "to_lines",
    "to_markdown",
    "write_lock",
]
