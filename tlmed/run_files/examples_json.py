"""`examples.json`: the test images that a report shows with an explanation."""

import reprlib
from typing import TypedDict

from tlmed.run_files.json_files import JsonFile

KINDS = ("right", "wrong", "uncertain")
# Of one of several labels, which `of` names.
FOUND, MISSED, FALSE_ALARM = LABEL_KINDS = ("found", "missed", "false-alarm")
_TEXTS = ("kind", "path", "label", "prediction", "file")


class Examples(TypedDict, total=False):
    """`examples.json`; each example has a kind, a path, a label, a prediction, a score, a method, a file."""

    split: str
    notes: list[str]  # what a reader must know of images without an explanation
    examples: list[object]


def _find_example_fault(content: Examples) -> str:
    faults = (
        f"example {i} {fault}"
        for i, example in enumerate(content.get("examples", []), 1)
        if (fault := _find_fault_of(example))
    )
    return next(faults, "")


def _find_fault_of(example) -> str:
    if not isinstance(example, dict):
        return f"is {reprlib.repr(example)}"
    for name in (*_TEXTS, "score", "method"):
        if name not in example:
            return f"has no `{name}`"
    # The image shown of a file or group, and the label that is explained.
    for name in (*_TEXTS, *(name for name in ("sample", "of") if name in example)):
        if not isinstance(example[name], str) or "\0" in example[name]:
            return f"has {name}={reprlib.repr(example[name])}, not a text"
    kinds = LABEL_KINDS if "of" in example else KINDS
    if example["kind"] not in kinds:
        return f"has kind={reprlib.repr(example['kind'])}, none of {', '.join(kinds)}"
    score, method = example["score"], example["method"]
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return f"has score={reprlib.repr(score)}, not a number from 0 to 1"
    is_method = method is None or isinstance(method, str)
    return "" if is_method else f"has method={reprlib.repr(method)}, neither a text nor null"


EXAMPLES_JSON = JsonFile("examples.json", Examples, _find_example_fault)
