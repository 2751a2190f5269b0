"""How long an advice took, and for what: parts that sum to the whole, and what made it longer than its budget."""

from collections.abc import Iterator

from tlmed.pages.amounts import duration
from tlmed.run_files.advice_files import AdviceContent
from tlmed.words import join_names

_PARTS = {"look": "the check of the data", "decision": "what was tried", "answer": "the training of the answer"}


def say_took(content: AdviceContent) -> str:
    """Return how long an advice took, for what, and by how much and why it took more than its budget.

    >>> ended = {"look": 13.6, "decision": 159.7, "answer": 212.1}
    >>> print(say_took({"seconds": 213.4, "budget": 180.0, "ended": ended}))
    It took 3 min 33 s, 33 s more than its budget of 3 min: 14 s for the check of the data, 2 min 26 s for what was \
tried, 52 s for the training of the answer and 1 s for the rest. 20 s of the budget were left for the training of the \
answer, which is never cut short.
    >>> say_took({"seconds": 100.0, "ended": {"look": 13.6}, "steps": [{"step": "probes"}, {"step": "thawing"}]})
    'It took 1 min 40 s: 14 s for the check of the data and 1 min 26 s for what was tried (probes and thawing).'
    """
    total, budget, ended = round(content["seconds"]), content.get("budget"), content.get("ended") or {}
    over = budget is not None and total > budget
    more = f", {_say(total - budget)} more than its budget of {_say(budget)}" if over else ""
    of = f" of {_say(budget)}" if budget is not None and not over else ""
    parts = list(_list_parts(ended, total, [step["step"] for step in content.get("steps", ())]))
    said = f"It took {_say(total)}{of}{more}{f': {join_names(parts)}' if parts else ''}."
    return f"{said} {_explain(ended, budget)}" if over else said


def _list_parts(ended, total, steps) -> Iterator[str]:
    """Yield the time of each part, the last of which may not have ended; of what was tried, then, with its steps.

    Times of the clock are rounded before they are subtracted, so that the parts sum.
    """
    begin = 0
    for name, words in _PARTS.items():
        if name in ended:
            end = round(ended[name])
            yield f"{_say(end - begin)} for {words}"
            begin = end
    if begin and total > begin:
        open_ = next((name for name in _PARTS if name not in ended), "")
        named = f" ({join_names(steps)})" if open_ == "decision" and steps else ""
        yield f"{_say(total - begin)} for {_PARTS.get(open_, 'the rest')}{named}"


def _explain(ended, budget) -> str:
    if ended.keys() <= {"look"} or ended.get("look", 0) > budget:
        return "The check of the data alone took longer than the budget."
    if "decision" not in ended or ended["decision"] > budget:
        return "What was tried took longer than was expected."
    left = _say(budget - round(ended["decision"]))
    return f"{left} of the budget were left for the training of the answer, which is never cut short."


def _say(seconds) -> str:
    seconds = round(seconds)
    return f"{seconds} s" if seconds < 60 else duration(seconds)
