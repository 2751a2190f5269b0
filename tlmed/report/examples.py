"""Example images with explanations: where the network was surest, right or wrong, and where it was not."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tlmed import rundir
from tlmed.evaluation.page import bullets, photo, text
from tlmed.pages.amounts import number
from tlmed.report.content import KINDS, Content
from tlmed.report.glossary import explain
from tlmed.words import count

TITLES = {
    "right": ("Most confident, and right", "Surest and right"),
    "wrong": ("Most confident, and wrong", "Surest and wrong"),
    "uncertain": ("Most uncertain", "Uncertain"),
}
_MOST_BYTES = 2_500_000  # of pictures, so that a page stays below 5 MB


def show_examples(content: Content) -> str:
    """Return the examples of a run as HTML; nothing where it has none."""
    examples = content.examples.get("examples", [])
    if not examples:
        return ""
    folder = content.path / rundir.EXAMPLES
    files = [_locate(content.path, example) for example in examples]
    strangers = [file.name for file in files if not _lies_in(folder, file)]
    turns = [(each, file) for each, file in _take_turns(examples, files) if file.name not in strangers]
    shown = _show_while_room(turns, content.metrics)
    notes = [text(note) for note in content.examples.get("notes", [])]
    if strangers:
        outside = f"Not shown, for they do not lie in the folder <code>{rundir.EXAMPLES}</code> of the run"
        notes.append(f"{outside}: {text(', '.join(strangers))}.")
    if left_out := len(turns) - sum(map(len, shown.values())):
        notes.append(f"{count(left_out, 'more picture')} in the folder <code>{rundir.EXAMPLES}</code> of the run.")
    parts = (
        f"<h3>{TITLES[kind][0]}{_say_border(content.metrics) if kind == 'uncertain' else ''}</h3>"
        f'<div class="pair examples">{"".join(drawn)}</div>'
        for kind, drawn in shown.items()
        if drawn
    )
    return f"<p>{_explain(content)}</p>{bullets(notes)}{''.join(parts)}"


def _name_border(metrics) -> str:
    threshold = metrics.get("threshold")
    return "" if threshold is None else f", which is the {explain('threshold', 'threshold')} of {number(threshold)}"


def _say_border(metrics) -> str:
    """Return where a prediction turns into another one: it need not be at 0.5."""
    if metrics.get("threshold") is None:
        return ": two classes score almost the same"
    return f": closest to the threshold of {number(metrics['threshold'])} for {text(metrics['positive'])}"


def _lies_in(folder, file) -> bool:
    """Tell whether a file lies in the folder `examples` of the run, wherever links lead."""
    home = Path(os.path.realpath(folder.parent), folder.name)
    return Path(os.path.realpath(file)).parent == home


def _take_turns(examples, files) -> Iterator[tuple[dict, Path]]:
    """Yield the first example of each kind with its file, then the second of each, and so on."""
    pairs = list(zip(examples, files, strict=True))
    kinds = [[pair for pair in pairs if pair[0]["kind"] == kind] for kind in KINDS]
    for rank in range(max(map(len, kinds))):
        yield from (kind[rank] for kind in kinds if rank < len(kind))


def _show_while_room(turns, metrics) -> dict[str, list[str]]:
    """Return pictures by kind, in turn, up to the first that does not fit; those after it are not even opened."""
    shown, room = {kind: [] for kind in KINDS}, _MOST_BYTES
    for example, file in turns:
        drawn = _show(file, example, metrics)
        room -= len(drawn)
        if room < 0:
            break
        shown[example["kind"]].append(drawn)
    return shown


def _explain(content) -> str:
    split = text(content.metrics["split"])
    chosen = (
        f"Chosen by rule from the {split} split: by how far the score lies from where another class would be predicted"
        f"{_name_border(content.metrics)}."
    )
    methods = dict.fromkeys(each["method"] for each in content.examples["examples"] if each["method"])
    if not methods:
        return chosen
    return (
        f"{chosen} On the left the image as the network saw it, on the right the same with the evidence for the "
        f"predicted class in colour ({text(' and '.join(methods))}). A {explain('examples', 'map')} shows what the "
        "network used, not what is true, and each is scaled by itself."
    )


def show_example(run: Path, example: Mapping, metrics: Mapping, before: str = "") -> str:
    """Return the picture of an example as HTML, with what was predicted; nothing where it does not lie in the run.

    Args:
        run: The run directory.
        example: One of `examples.json`.
        metrics: `metrics.json` of the run.
        before: What its caption begins with.
    """
    file = _locate(run, example)
    return _show(file, example, metrics, before) if _lies_in(run / rundir.EXAMPLES, file) else ""


def _locate(run, example) -> Path:
    return run / rundir.EXAMPLES / Path(example["file"]).name  # of this folder, whatever the file says


def _show(path, example, metrics, before="") -> str:
    right = example["prediction"] == example["label"]
    said = f"predicted {example['prediction']} ({_say_score(example, metrics)}), " + (
        "which is right" if right else f"truly {example['label']}"
    )
    map_said = f" Beside it a map of the evidence by {example['method']}." if example["method"] else ""
    short, caption = TITLES[example["kind"]][1], f"{before}{example['path']}: {said}"
    return photo(path, f"{short}: {before}{example['path']}, {said}.{map_said}", caption)


def _say_score(example, metrics) -> str:
    """Return the score of the predicted class; where a threshold decides, that of the positive one, which it is for."""
    positive = metrics.get("positive")
    if metrics.get("threshold") is None or example["prediction"] == positive:
        return number(example["score"])
    return f"{number(example['score'])}; {positive} {number(1 - example['score'])}"
