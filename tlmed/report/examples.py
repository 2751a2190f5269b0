"""Example images with explanations: the surest right and wrong predictions, and the most uncertain ones.

Of several labels: where each was found, missed, and a false alarm.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from markupsafe import Markup

from tlmed import rundir
from tlmed.evaluation.answer_rules import ExpectedCost, LogitAdjustment
from tlmed.pages.amounts import number
from tlmed.pages.figures import Picture, photo
from tlmed.pages.templating import render
from tlmed.report.loaded_files import RunContent
from tlmed.run_files import FALSE_ALARM, FOUND, KINDS, LABEL_KINDS, MISSED
from tlmed.tabulation import CODE, Cell, say
from tlmed.tasks import MULTI_LABEL, ORDINAL, read_task
from tlmed.words import count

TITLES = {
    "right": ("Most confident, and right", "Surest and right"),
    "wrong": ("Most confident, and wrong", "Surest and wrong"),
    "uncertain": ("Most uncertain", "Uncertain"),
}
_OF_LABEL = {FOUND: "Found", MISSED: "Missed", FALSE_ALARM: "False alarm"}
_COMPARED = {
    ExpectedCost.name: "by how much more the next cheapest answer is expected to cost",
    LogitAdjustment.name: "by how much lower log p - tau log prior is for the next class",
}
MOST_BYTES = 2_500_000  # of pictures, so that a page stays below 5 MB


def show_examples(content: RunContent) -> Markup:
    """Return the examples of a run; nothing where it has none."""
    examples, metrics = content.examples.get("examples", []), content.metrics
    if not examples:
        return Markup()
    folder = content.path / rundir.EXAMPLES
    files = [_locate(content.path, example) for example in examples]
    strangers = [file.name for file in files if not _lies_in(folder, file)]
    # In turns, so that each kind has pictures where the page has no room for all.
    turns = [(each, file) for each, file in _take_turns(examples, files) if file.name not in strangers]
    shown = _show_while_room(turns, metrics)
    left_out = len(turns) - sum(map(len, shown.values()))
    return render(
        "report/examples.html",
        split=metrics["split"],
        several=read_task(metrics) == MULTI_LABEL,
        kind="grade" if read_task(metrics) == ORDINAL else "class",
        threshold=metrics.get("threshold"),
        compared=_say_compared(metrics),
        methods=list(dict.fromkeys(each["method"] for each in examples if each["method"])),
        notes=[*content.examples.get("notes", []), *_list_hidden(strangers, left_out)],
        shown=_title(shown, metrics),
    )


def _say_compared(metrics) -> str:
    """Say what the rule of a run compares between more classes than two; "" where none is stated."""
    if "decision" not in metrics or metrics.get("threshold") is not None:
        return ""
    return f": {_COMPARED[metrics['decision']['rule']]}, by calibrated probabilities"


def _title(shown, metrics) -> dict[str, list[Picture]]:
    """Return the pictures by the heading that they stand below: their kind, or of several labels the label."""
    borders, titled = {"uncertain": say_border(metrics)}, {}
    for (label, kind), drawn in shown.items():
        title = _title_label(label, metrics) if label else f"{TITLES[kind][0]}{borders.get(kind, '')}"
        titled[title] = [*titled.get(title, []), *drawn]
    return titled


def _title_label(label, metrics) -> str:
    border = say_label_border(label, metrics)
    return f"{label}: {border}" if border else label


def say_label_border(label: str, metrics: Mapping) -> str:
    """Say from which score on a label is predicted; nothing where `metrics.json` does not tell."""
    point = metrics["per_class"].get(label, {}).get("operating_point")
    return f"predicted from {number(point['threshold'])} on" if point else ""


def _list_hidden(strangers, left_out) -> list[Cell]:
    """Return notes on pictures that are not shown: the names of those outside of the folder, and how many others."""
    folder, notes = say(rundir.EXAMPLES, mark=CODE), []
    if strangers:
        outside = "Not shown because they do not lie in the folder "
        notes.append(say(outside, folder, f" of the run: {', '.join(strangers)}."))
    if left_out:
        notes.append(say(f"{count(left_out, 'more picture')} in the folder ", folder, " of the run."))
    return notes


def say_border(metrics) -> str:
    """Say where the border between two predictions lies, which need not be at 0.5."""
    if read_task(metrics) == ORDINAL:
        return ": closest to where another grade would be predicted"
    if metrics.get("threshold") is None and "decision" in metrics:
        return ": closest to where another class would be predicted"
    if metrics.get("threshold") is None:
        return ": two classes score almost the same"
    return f": closest to the threshold of {number(metrics['threshold'])} for {metrics['positive']}"


def _lies_in(folder, file) -> bool:
    """Tell whether a file lies in the folder `examples` of the run, wherever links lead."""
    # Only the parent is resolved: an `examples` that is itself a link could lead to any folder of this machine.
    home = Path(os.path.realpath(folder.parent), folder.name)
    return Path(os.path.realpath(file)).parent == home


def _take_turns(examples, files) -> Iterator[tuple[dict, Path]]:
    """Yield the first example of each kind, and label, with its file, then the second of each, and so on."""
    kinds = {}
    for each, file in zip(examples, files, strict=True):
        kinds.setdefault(_sort(each), []).append((each, file))
    for rank in range(max(map(len, kinds.values()))):
        yield from (kinds[kind][rank] for kind in _order(kinds) if rank < len(kinds[kind]))


def _sort(example) -> tuple[str, str]:
    """Return the label, "" where an image has one class, and the kind of an example."""
    return example.get("of", ""), example["kind"]


def _order(sorts) -> list[tuple[str, str]]:
    """Return labels and kinds in the order in which a page shows them: labels as they came, kinds as in the file."""
    labels = list(dict.fromkeys(label for label, _ in sorts))
    return sorted(sorts, key=lambda it: (labels.index(it[0]), (*KINDS, *LABEL_KINDS).index(it[1])))


def _show_while_room(turns, metrics) -> dict[tuple[str, str], list[Picture]]:
    """Return pictures by label and kind, up to the first that does not fit; those after it are not opened."""
    shown, room = {}, MOST_BYTES
    for example, file in turns:
        drawn = _show(file, example, metrics)
        room -= len(drawn.data)
        if room < 0:
            break
        shown.setdefault(_sort(example), []).append(drawn)
    return {sort: shown[sort] for sort in _order(shown)}


def draw_example(run: Path, example: Mapping, metrics: Mapping, before: str = "") -> Picture | None:
    """Return the picture of an example, with what was predicted; none where it does not lie in the run.

    Args:
        run: The run directory.
        example: One of `examples.json`.
        metrics: `metrics.json` of the run.
        before: What its caption begins with.
    """
    file = _locate(run, example)
    return _show(file, example, metrics, before) if _lies_in(run / rundir.EXAMPLES, file) else None


def _locate(run, example) -> Path:
    return run / rundir.EXAMPLES / Path(example["file"]).name  # only the name, so that no path leads out of the folder


def _show(path, example, metrics, before="") -> Picture:
    if "of" in example:
        return _show_label(path, example, before)
    right = example["prediction"] == example["label"]
    said = f"predicted {example['prediction']} ({_say_score(example, metrics)}), " + (
        "which is right" if right else f"truly {example['label']}"
    )
    name = f"{before}{example['path']}{_say_sample(example)}"
    return photo(path, f"{TITLES[example['kind']][1]}: {name}, {said}.{_say_map(example)}", f"{name}: {said}")


def _show_label(path, example, before) -> Picture:
    """Return the picture of a label's example: its score, the labels of the image, and those that were predicted."""
    what = f"{_OF_LABEL[example['kind']]}: {before}{example['path']}{_say_sample(example)}"
    said = f"{example['of']} {number(example['score'])}; truly {example['label']}, predicted {example['prediction']}"
    return photo(path, f"{what}, {said}.{_say_map(example)}", f"{what}, {said}")


def _say_map(example) -> str:
    return f" Beside it a map of the evidence by {example['method']}." if example["method"] else ""


def _say_sample(example) -> str:
    """Say which image of a file or a group is shown: the one that speaks most for the answer; "" of an image."""
    if example.get("sample", example["path"]) == example["path"]:
        return ""
    return f" (its image {example['sample'].removeprefix(example['path']).removeprefix('#')})"


def _say_score(example, metrics) -> str:
    """Return the score of the predicted class; where a threshold decides, also that of the positive class."""
    positive = metrics.get("positive")
    if metrics.get("threshold") is None or example["prediction"] == positive:
        return number(example["score"])
    return f"{number(example['score'])}; {positive} {number(1 - example['score'])}"
