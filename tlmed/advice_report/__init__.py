"""What a person sees of an advice: a page and a summary on a terminal, made from `advice.json`."""

from tlmed.advice_report.advice_page import write_advice_page
from tlmed.advice_report.advice_record import AdviceRecord, read_advice
from tlmed.advice_report.advice_sentences import PARTS, say_left_out
from tlmed.advice_report.advice_terminal import describe_advice
from tlmed.advice_report.advice_times import say_took
from tlmed.advice_report.asked_options import LENIENT, READING, keep_options

__all__ = [
    "LENIENT",
    "PARTS",
    "READING",
    "AdviceRecord",
    "describe_advice",
    "keep_options",
    "read_advice",
    "say_left_out",
    "say_took",
    "write_advice_page",
]
