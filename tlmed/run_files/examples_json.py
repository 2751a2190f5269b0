"""`examples.json`: the test images that a report shows with an explanation."""

import reprlib
from typing import TypedDict

from tlmed.run_files.json_files import JsonFile

KINDS = ("right", "wrong", "uncertain")
_TEXTS = ("kind", "path", "label", "prediction", "file")


class Examples(TypedDict, total=False):
    """`examples.json`; each example has a kind of `KINDS`, a path, a label, a prediction, a score, a method, a file."""

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
    for name in (*_TEXTS, *(["sample"] if "sample" in example else [])):  # the image shown of a file or group
        if not isinstance(example[name], str) or "\0" in example[name]:
            return f"has {name}={reprlib.repr(example[name])}, not a text"
    if example["kind"] not in KINDS:
        return f"has kind={reprlib.repr(example['kind'])}, none of {', '.join(KINDS)}"
    score, method = example["score"], example["method"]
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return f"has score={reprlib.repr(score)}, not a number from 0 to 1"
    is_method = method is None or isinstance(method, str)
    return "" if is_method else f"has method={reprlib.repr(method)}, neither a text nor null"


EXAMPLES_JSON = JsonFile("examples.json", Examples, _find_example_fault)
