"""What a person sees of an advice: a page and a summary on a terminal, made from `advice.json`."""

from tlmed.advice_report.advice_page import ADVICE_HTML, write_advice_page
from tlmed.advice_report.advice_record import AdviceRecord, read_advice
from tlmed.advice_report.advice_terminal import describe_advice

__all__ = ["ADVICE_HTML", "AdviceRecord", "describe_advice", "read_advice", "write_advice_page"]
