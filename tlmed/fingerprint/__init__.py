"""Which metrics suit a question: answers to a few questions in, metrics with reasons out (Maier-Hein et al. 2024)."""

from tlmed.fingerprint.facts import tell_from_answers, tell_from_counts, tell_from_labels, tell_from_recipe
from tlmed.fingerprint.questions import MOST_CLASSES, QUESTIONS, Fingerprint, Question
from tlmed.fingerprint.selection import SOURCES, Choice, choose_metrics

__all__ = [
    "MOST_CLASSES",
    "QUESTIONS",
    "SOURCES",
    "Choice",
    "Fingerprint",
    "Question",
    "choose_metrics",
    "tell_from_answers",
    "tell_from_counts",
    "tell_from_labels",
    "tell_from_recipe",
]
