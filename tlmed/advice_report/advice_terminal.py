"""The end of an advice on a terminal: about as much as a screen holds."""

from tlmed.advice_report.advice_progress import list_commands, say_best, say_stopped
from tlmed.advice_report.advice_record import AdviceRecord
from tlmed.advice_report.advice_sentences import (
    NEXT,
    list_shortcuts,
    say_answer,
    say_cost,
    say_goal,
    say_title,
    say_verdict,
)
from tlmed.advice_report.advice_tables import tabulate_course
from tlmed.run_files.advice_files import LEARNABLE
from tlmed.tabulation import Table
from tlmed.words import begin_sentence, count

_MOST_NEXT, _MOST_SHORTCUTS = 2, 1


def describe_advice(record: AdviceRecord) -> list[str | Table]:
    """Return an advice as lines and a table for a terminal: the answer, what was tried, and how to go on."""
    content = record.content
    goal, best = say_goal(record), "" if record.is_complete else say_best(record)
    said = (*say_stopped(record), _say_verdict(record), " ".join(say_answer(record)), goal, best)
    lines: list[str | Table] = [*filter(None, said), *_warn(record)]
    if content["steps"]:
        lines += ["", tabulate_course(record), say_cost(record)]
    further = [
        f"{NEXT.get(one['what'], begin_sentence(one['what']))}: {one['says']}" for one in content.get("next", ())
    ]
    if further:
        lines += ["", *_cut(further, _MOST_NEXT)]
    first, *others = list_commands(record)
    # An ensemble has one more, which the page shows.
    shown = [line for words, command in (first, *others[-1:]) for line in (words, f"  {command}")]
    return [*lines, "", *shown]


def _say_verdict(record) -> str:
    """Return the verdict; a good one without its reason, which the answer gives too."""
    verdict = record.content.get("verdict")
    if verdict and verdict["learnable"] == LEARNABLE:
        return " ".join([say_title(record), *verdict["says"][1:]])
    return " ".join(say_verdict(record))


def _warn(record) -> list[str]:
    gate, positive = record.content.get("gate") or {}, record.content["data"].get("positive_doubts", ())
    verdict = record.content.get("verdict") or {}
    apart = [" ".join(said)] if (said := verdict.get("apart")) else []
    learnt = [*record.doubts, *record.changes, *apart, *verdict.get("warnings", ())]
    shortcuts = [f"Warning: a shortcut: {text}" for text in list_shortcuts(record)]
    accepted = gate.get("errors") and gate["accepted"]
    errors = [f"Warning: {count(gate['errors'], 'error')} of the data accepted by `--accept`."] if accepted else []
    return [*(f"Warning: {doubt}" for doubt in (*learnt, *positive)), *_cut(shortcuts, _MOST_SHORTCUTS), *errors]


def _cut(lines, most) -> list[str]:
    rest = len(lines) - most
    return lines if rest <= 0 else [*lines[:most], f"{rest:,} more on the page."]
