"""The files of a comparison: a page, and two tables for other programs."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tlmed import targets, whole_files
from tlmed.comparison.page import make_comparison_page
from tlmed.comparison.pairs import Comparison
from tlmed.comparison.sentences import list_metric_notes, list_metrics
from tlmed.comparison.traits import COSTS
from tlmed.errors import InputError

FILES = ("comparison.html", "comparison.csv", "pairs.csv")
_PARTS = {"": "value", "_low": "low", "_high": "high"}


def check_targets(folder: Path, force: bool = False) -> None:
    """Refuse a folder with files that a comparison would write over and may not; see `targets.check_targets`."""
    page, runs, pairs = (folder / name for name in FILES)
    own = {
        page: lambda file: targets.is_marked(file, "compare"),
        runs: lambda file: _is_table_of_runs(targets.read_header(file)),
        pairs: lambda file: targets.read_header(file) in (_PAIR_COLUMNS, _LABEL_COLUMNS),
    }
    # A folder with the name of a file is refused by `_prepare`, whose message says so, and with --force too.
    targets.check_targets("--out", {path: is_own for path, is_own in own.items() if not path.is_dir()}, force)


def write_comparison(folder: Path, comparison: Comparison, force: bool = False) -> list[Path]:
    """Write the page and the tables into a folder, which is made if it is missing: all of them or none.

    Args:
        folder: Where to.
        comparison: What is compared.
        force: Write over the files of an earlier comparison.

    Returns:
        Their paths: the page, a row per run, a row per pair and metric.

    Raises:
        InputError: If the folder cannot be made or written in, or holds one of the files already, or a folder has the
            name of one.
    """
    check_targets(folder, force)
    texts = (
        f"{make_comparison_page(comparison)}<!-- {targets.make_mark('compare')} -->\n",
        whole_files.format_csv(*_list_runs(comparison)),
        whole_files.format_csv(*_list_pairs(comparison)),
    )
    paths = [folder / name for name in FILES]
    _prepare(folder, paths)
    # The files get their names when the block ends: an error before that leaves the old files, or none.
    with targets.writing_out(folder), contextlib.ExitStack() as stack:
        for path, text in zip(paths, texts, strict=True):
            stack.enter_context(whole_files.atomic(path)).write_text(text, encoding="utf-8", newline="")
    return paths


def _prepare(folder, paths) -> None:
    """Make the folder and check that every file can be written, so that none is written where one cannot be."""
    rule = "`--out` must be a folder that can be made and written in"
    # Only an attempt shows it: permissions do not tell of read-only mounts, and do not bind root.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{rule}. Received: {folder}: {error}.") from error
    if taken := [str(path) for path in paths if path.is_dir()]:
        raise InputError(f"{rule}, without folders of its files' names. Received: {', '.join(taken)}, a folder each.")


_COLUMNS = (
    *("metric", "difference", "low", "high", "p", "p_holm", "pairs", "first_only", "second_only"),
    *("method", "note"),
)


_LEFT = ("auc", "accuracy", "sensitivity", "specificity")  # metrics that are computed without leaks, too
_ABOUT = ("number", "run", "path", "backbone", "weights", "approach", "seed", "threshold", "folds")
_WITHOUT = "_without_leaks"  # the ending of columns with scores without the test images that the run has seen
_LEAKS = ("leaked", "undecided", "left", *(f"{name}{part}{_WITHOUT}" for name in _LEFT for part in _PARTS))
_PAIR_COLUMNS = ["first", "second", *_COLUMNS]
_LABEL_COLUMNS = ["first", "second", "label", *_COLUMNS]  # of runs of several labels; empty for means over labels


def _is_table_of_runs(header: list[str] | None) -> bool:
    """Tell whether a header is that of `comparison.csv`, whose metrics depend on what the runs are asked."""
    return bool(header) and header[: len(_ABOUT)] == list(_ABOUT) and header[-len(COSTS) - 1 :] == [*COSTS, "notes"]


def _list_runs(comparison) -> tuple[list[str], list[list]]:
    rows = []
    for number, result in enumerate(comparison.results, 1):
        traits = (result.backbone, result.weights, result.approach, result.recipe.get("seed"))
        row = [number, result.name, result.path, *traits, result.metrics.get("threshold"), len(result.folds) or None]
        entries = [result.metrics["metrics"].get(name, {}) for name in comparison.questions]
        row += [entry.get(key) for entry in entries for key in _PARTS.values()]
        found = result.without_leaks or {"leaked": None, "n": None, "metrics": {}}
        left = [found["metrics"].get(name, {}) for name in _LEFT]
        counts = (found["leaked"], result.metrics.get("undecided"), found["n"])
        row += [*counts, *(entry.get(key) for entry in left for key in _PARTS.values())]
        notes = " ".join(list_metric_notes(list_metrics([result]), comparison.questions))
        rows.append([*row, *(result.costs[name] for name in COSTS), notes])
    return _name_columns(comparison.questions), rows


def _name_columns(questions) -> list[str]:
    return [*_ABOUT, *(f"{name}{part}" for name in questions for part in _PARTS), *_LEAKS, *COSTS, "notes"]


def _list_pairs(comparison) -> tuple[list[str], Iterator[list]]:
    names = [result.name for result in comparison.results]
    labels = list(comparison.pairs[0].labels)
    rows = (
        [names[pair.first], names[pair.second], *((label,) if labels else ()), *_list_entry(metric, entry, amount)]
        for pair in comparison.pairs
        for label, table in {"": pair.questions, **pair.labels}.items()
        for metric, entry in table.items()
        for amount in [comparison.count_tests(metric) if label else len(comparison.pairs)]
    )
    return _LABEL_COLUMNS if labels else _PAIR_COLUMNS, rows


def _list_entry(metric, entry, amount) -> list:
    numbers = [entry[key] for key in ("value", "low", "high", "p", "p_holm")]
    alone = [entry.get(key) for key in ("first_only", "second_only")]
    return [metric, *numbers, amount, *alone, entry["method"], entry.get("reason", entry.get("note"))]
