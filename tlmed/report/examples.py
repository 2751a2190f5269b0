"""Example images with explanations: where the network was surest, right or wrong, and where it was not."""

from pathlib import Path

from tlmed import rundir
from tlmed.evaluation.page import bullets, photo, text
from tlmed.report.content import Content
from tlmed.report.words import count

KINDS = {
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
    folder, room, left_out, parts = content.path / rundir.EXAMPLES, _MOST_BYTES, 0, []
    for kind, (title, short) in KINDS.items():
        shown = []
        for example in examples:
            if example["kind"] != kind:
                continue
            drawn = _show(folder / Path(example["file"]).name, short, example)  # of this folder, whatever it says
            room -= len(drawn)
            if room >= 0:
                shown.append(drawn)
            else:
                left_out += 1
        if shown:
            parts.append(f'<h3>{title}</h3><div class="pair">{"".join(shown)}</div>')
    notes = [text(note) for note in content.examples.get("notes", [])]
    if left_out:
        notes.append(f"{count(left_out, 'more picture')} in the folder <code>{rundir.EXAMPLES}</code> of the run.")
    return f"<p>{_explain(content)}</p>{bullets(notes)}{''.join(parts)}"


def _explain(content) -> str:
    split = text(content.metrics["split"])
    chosen = (
        f"Chosen by rule from the {split} split: by how far the score lies from where another class would be predicted."
    )
    methods = dict.fromkeys(each["method"] for each in content.examples["examples"] if each["method"])
    if not methods:
        return chosen
    return (
        f"{chosen} On the left the image as the network saw it, on the right the same with the evidence for the "
        f"predicted class in colour ({text(' and '.join(methods))}). A map shows what the network used, not what is "
        "true, and each is scaled by itself."
    )


def _show(path, short, example) -> str:
    right = example["prediction"] == example["label"]
    said = f"predicted {example['prediction']} ({example['score']:.3f}), " + (
        "which is right" if right else f"truly {example['label']}"
    )
    map_said = f" Beside it a map of the evidence by {example['method']}." if example["method"] else ""
    return photo(path, f"{short}: {example['path']}, {said}.{map_said}", f"{example['path']}: {said}")
