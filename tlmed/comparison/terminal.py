"""A comparison as lines for a terminal, 120 columns wide at most."""

import textwrap
from collections.abc import Collection, Sequence

from tlmed.comparison.pairs import LEVEL, Comparison, is_shown
from tlmed.comparison.words import NAMES, conclude, name_images, say_cost, say_difference, say_p, say_score

WIDTH = 120
_QUESTIONS = ("auc", "accuracy")  # the others are in the files
_COSTS = {
    "train_images": "images",
    "training_seconds": "training",
    "trainable_parameters": "trainable",
    "peak_memory_mb": "MB",
}
_LONGEST_NAME = 24


def describe_comparison(comparison: Comparison) -> list[str]:
    """Return the runs with their scores and costs, every pair of them, and what follows, as lines."""
    columns = 2 + len(_QUESTIONS)
    return [
        *_wrap(_head(comparison)),
        *_tabulate(*_list_runs(comparison), numbers=range(columns, columns + len(_COSTS))),
        "",
        *_tabulate(*_list_pairs(comparison)),
        *_wrap(_explain(comparison)),
        "",
        *(line for sentence in conclude(comparison) for line in _wrap(sentence)),
        *(line for note in comparison.notes for line in _wrap(f"Note: {note}")),
    ]


def _head(comparison) -> str:
    metrics = comparison.results[0].metrics
    positive = f", positive: {metrics['positive']}" if metrics.get("positive") is not None else ""
    return f"Compared on {name_images(comparison)}; classes: {', '.join(metrics['classes'])}{positive}."


def _list_runs(comparison) -> tuple[list[str], list[list[str]]]:
    head = ["", "run", *(NAMES[name] for name in _QUESTIONS), *_COSTS.values()]
    rows = []
    for place, result in enumerate(comparison.results, 1):
        scores = [say_score(result.metrics["metrics"][name]) for name in _QUESTIONS]
        costs = [say_cost(name, result.costs[name]) for name in _COSTS]
        name, *rest = textwrap.wrap(result.name, _LONGEST_NAME)
        rows.append([str(place), name, *scores, *costs])
        rows += [["", part, *[""] * (len(head) - 2)] for part in rest]
    return head, rows


def _list_pairs(comparison) -> tuple[list[str], list[list[str]]]:
    head = ["pair", *(title for name in _QUESTIONS for title in (f"{NAMES[name]}: difference", "p", ""))]
    rows = []
    for pair in comparison.pairs:
        entries = [pair.questions[name] for name in _QUESTIONS]
        cells = [(say_difference(it), say_p(it["p_holm"]), "*" if is_shown(it) else "") for it in entries]
        rows.append([f"{pair.first + 1} - {pair.second + 1}", *(cell for three in cells for cell in three)])
    return head, rows


def _explain(comparison) -> str:
    corrected = f", corrected for {len(comparison.pairs)} pairs (Holm)" if len(comparison.pairs) > 1 else ""
    return (
        "Training: images, time, and parameters of the phase that was kept. Differences: the first less the second, "
        f"with 95 % intervals, each by itself. p: of no difference{corrected}; * below {LEVEL}."
    )


def _tabulate(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> list[str]:
    """Return a table as lines; the columns `numbers` stand on the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    justify = [str.rjust if column in numbers else str.ljust for column in range(len(head))]
    lines = (zip(row, widths, justify, strict=True) for row in (head, *rows))
    return ["  ".join(move(cell, width) for cell, width, move in line).rstrip() for line in lines]


def _wrap(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
