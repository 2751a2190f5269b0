"""The files of a run, read."""

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlmed import whole_files
from tlmed.errors import InputError
from tlmed.evaluation.predictions import Predictions, read_predictions
from tlmed.regular_files import read_regular

REQUIRED = (
    "recipe.json",
    "environment.json",
    "splits.csv",
    "plan.json",
    "predictions.csv",
    "metrics.json",
    "timing.json",
)


KINDS = ("right", "wrong", "uncertain")  # of examples
_TEXTS = ("kind", "path", "label", "prediction", "file")  # of each example


@dataclass(frozen=True)
class Content:
    """What a report tells.

    Attributes:
        name: The run directory's name.
        recipe: `recipe.json`.
        source: `recipe.py`, or "".
        environment: `environment.json`.
        splits: The rows of `splits.csv`.
        plan: `plan.json`.
        history: The rows of `history.csv`; empty where nothing was trained epoch by epoch.
        degrees: The rows of `degrees.csv`; empty where there was one phase or none.
        search: The rows of `search.csv`; empty where no classifier was searched for.
        freeze: `freeze.json`, or empty.
        predictions: `predictions.csv`.
        metrics: `metrics.json`.
        timing: `timing.json`.
        examples: `examples.json`, or empty.
        path: The run directory, for the pictures of the examples.
    """

    name: str
    recipe: Mapping
    source: str
    environment: Mapping
    splits: Sequence[Mapping]
    plan: Mapping
    history: Sequence[Mapping]
    degrees: Sequence[Mapping]
    search: Sequence[Mapping]
    freeze: Mapping
    predictions: Predictions
    metrics: Mapping
    timing: Mapping
    examples: Mapping
    path: Path

    @property
    def scored(self) -> Predictions:
        """Return the predictions of the split that is reported."""
        return self.predictions.of(self.metrics["split"])


def read_content(run: Path) -> Content:
    """Read what a report tells from a run directory.

    Raises:
        InputError: With every required file that is missing, or the first that cannot be read.
    """
    missing = [name for name in REQUIRED if not (run / name).is_file()]
    if missing:
        raise InputError([f"A report needs `{name}` in the run directory. Received: {run}." for name in missing])
    source = run / "recipe.py"
    return Content(
        name=run.resolve().name,
        recipe=_read_json(run / "recipe.json"),
        source=source.read_text(encoding="utf-8") if source.is_file() else "",
        environment=_read_json(run / "environment.json"),
        splits=whole_files.read_csv(run / "splits.csv"),
        plan=_read_json(run / "plan.json"),
        history=_read_table(run / "history.csv"),
        degrees=_read_table(run / "degrees.csv"),
        search=_read_table(run / "search.csv"),
        freeze=_read_optional(run / "freeze.json"),
        predictions=read_predictions(run / "predictions.csv"),
        metrics=_read_json(run / "metrics.json"),
        timing=_read_json(run / "timing.json"),
        examples=read_examples(run / "examples.json"),
        path=run,
    )


def _read_table(path: Path) -> list[dict[str, str]]:
    return whole_files.read_csv(path) if path.is_file() else []


def _read_optional(path: Path) -> dict:
    return _read_json(path) if path.is_file() else {}


def read_examples(path: Path) -> dict:
    """Return `examples.json`, empty where there is none.

    Raises:
        InputError: If it is not as tlmed writes it.
    """
    content = _read_optional(path)
    if fault := _find_fault(content):
        raise InputError(
            "`examples.json` must be a table with the lists `examples` and `notes`, as tlmed writes it. "
            f"Received: {path}: {fault}."
        )
    return content


def _find_fault(content) -> str:
    """Say what is the first thing that is not as it should be in `examples.json`; "" if nothing is."""
    if not isinstance(content, dict):
        return f"a {type(content).__name__} in place of the table"
    examples, notes = content.get("examples", []), content.get("notes", [])
    if not isinstance(examples, list):
        return f"`examples` is {reprlib.repr(examples)}"
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        return f"`notes` is {reprlib.repr(notes)}, not a list of texts"
    faults = (f"example {i} {fault}" for i, each in enumerate(examples, 1) if (fault := _find_fault_of(each)))
    return next(faults, "")


def _find_fault_of(example) -> str:
    if not isinstance(example, dict):
        return f"is {reprlib.repr(example)}"
    for name in (*_TEXTS, "score", "method"):
        if name not in example:
            return f"has no `{name}`"
    for name in _TEXTS:
        if not isinstance(example[name], str) or "\0" in example[name]:
            return f"has {name}={reprlib.repr(example[name])}, not a text"
    if example["kind"] not in KINDS:
        return f"has kind={reprlib.repr(example['kind'])}, none of {', '.join(KINDS)}"
    score, method = example["score"], example["method"]
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return f"has score={reprlib.repr(score)}, not a number from 0 to 1"
    return (
        ""
        if method is None or isinstance(method, str)
        else f"has method={reprlib.repr(method)}, neither a text nor null"
    )


def _read_json(path: Path) -> dict:
    try:
        return json.loads(read_regular(path))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"`{path.name}` must be JSON in UTF-8. Received: {path}: {error}.") from error
