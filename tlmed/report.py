"""A run directory as one page that stands alone: no network, no model, nothing beside the file."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlmed import rundir
from tlmed.errors import InputError
from tlmed.evaluation import plots
from tlmed.evaluation.page import bar, bullets, fold, make_document, picture, table, text
from tlmed.evaluation.predictions import Predictions, read_predictions

REQUIRED = (
    "recipe.json",
    "environment.json",
    "splits.csv",
    "plan.json",
    "predictions.csv",
    "metrics.json",
    "timing.json",
)
NOT_A_DEVICE = "For research only. Not a medical device: no diagnosis or treatment may rest on these numbers."
SYNTHETIC = (
    "The images of this run are synthetic: drawn by a program (tlmed_phantoms), not taken from any person. "
    "The scores show that the software works, and nothing about medicine."
)
_NAMES = {
    "auc": "AUC",
    "f1": "F1",
    "balanced_accuracy": "Balanced accuracy",
    "val_auc": "validation AUC",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
}


@dataclass(frozen=True)
class Content:
    """What a report tells: the files of a run, read.

    Attributes:
        name: The run directory's name.
        recipe: `recipe.json`.
        source: `recipe.py`, or "".
        environment: `environment.json`.
        splits: The rows of `splits.csv`.
        plan: `plan.json`.
        history: The rows of `history.csv`; empty where nothing was trained epoch by epoch.
        predictions: `predictions.csv`.
        metrics: `metrics.json`.
        timing: `timing.json`.
    """

    name: str
    recipe: Mapping
    source: str
    environment: Mapping
    splits: Sequence[Mapping]
    plan: Mapping
    history: Sequence[Mapping]
    predictions: Predictions
    metrics: Mapping
    timing: Mapping


def write_report(run_dir: str | Path) -> Path:
    """Write `report.html` from the other files of a run directory.

    Args:
        run_dir: A run directory; `history.csv` and `recipe.py` may be missing, and any optional key.

    Returns:
        The path of the report.

    Raises:
        InputError: With every file that is missing, or the first that cannot be read.
    """
    run = Path(run_dir)
    rundir.write_text(run / "report.html", make_page(read_content(run)))
    return run / "report.html"


def read_content(run: Path) -> Content:
    """Read what a report tells from a run directory."""
    missing = [name for name in REQUIRED if not (run / name).is_file()]
    if missing:
        raise InputError([f"A report needs `{name}` in the run directory. Received: {run}." for name in missing])
    history, source = run / "history.csv", run / "recipe.py"
    return Content(
        name=run.resolve().name,
        recipe=_read_json(run / "recipe.json"),
        source=source.read_text(encoding="utf-8") if source.is_file() else "",
        environment=_read_json(run / "environment.json"),
        splits=rundir.read_csv(run / "splits.csv"),
        plan=_read_json(run / "plan.json"),
        history=rundir.read_csv(history) if history.is_file() else [],
        predictions=read_predictions(run / "predictions.csv"),
        metrics=_read_json(run / "metrics.json"),
        timing=_read_json(run / "timing.json"),
    )


def make_page(content: Content) -> str:
    """Return the whole page as HTML."""
    sections = {
        "What was asked, and what was done": _tell_story(content),
        "Scores": _show_scores(content),
        "Data": _show_data(content),
        "Warnings": _show_warnings(content),
        "Phases": _show_phases(content),
        "Learning curves": _show_history(content),
        "Cost": _show_cost(content.timing),
        "Environment": _show_environment(content.environment),
        "Recipe": f"<pre>{text(content.source)}</pre>" if content.source else "",
    }
    title = f"{content.recipe.get('backbone', 'Run')}: {content.name}"
    synthetic = f'<p class="notice">{text(SYNTHETIC)}</p>' if _is_synthetic(content) else ""
    body = "\n".join(f"<h2>{text(head)}</h2>\n{part}" for head, part in sections.items() if part)
    return make_document(
        title,
        f'<h1>{text(title)}</h1>\n<p class="soft">A report by tlmed. {text(NOT_A_DEVICE)}</p>\n{synthetic}\n'
        f"{_show_headline(content.metrics)}\n{body}",
    )


def _is_synthetic(content) -> bool:
    places = [part.get("data", {}).get("source", "") for part in (content.recipe, content.environment)]
    return any("tlmed_phantoms" in str(place) for place in places)


def _show_headline(metrics) -> str:
    cards = []
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        if entry := metrics["metrics"].get(name):
            beside = f"95 %: {_interval(entry)}" if _interval(entry) else "&nbsp;"
            cards.append(f"<div>{_name(name)}<b>{_number(entry['value'])}</b><small>{beside}</small></div>")
    return f'<div class="headline">{"".join(cards)}</div>'


def _tell_story(content) -> str:
    recipe, metrics, timing = content.recipe, content.metrics, content.timing
    data, phases = recipe.get("data", {}), recipe.get("phases", [])
    size = text(" x ".join(map(str, data.get("image_size", ["?", "?"]))))
    asked = (
        f"<b>Asked:</b> tell {_list(metrics['classes'])} apart in images from <code>{text(data.get('source'))}</code>, "
        f"with {text(recipe.get('backbone'))} starting from <code>{text(recipe.get('weights'))}</code> weights, on "
        f"{size} pixels, in {_count(len(phases), 'phase')}; the {text(recipe.get('keep'))} phase by "
        f"{_name(recipe.get('monitor'))} is the result. Seed {text(recipe.get('seed'))}."
    )
    epochs = Counter(row["phase"] for row in content.history)
    ran = "; ".join(f"{text(phase)} {_count(number, 'epoch')}" for phase, number in epochs.items())
    kept = metrics.get("kept", {})
    done = (
        f"<b>Done:</b> weights <code>{text(content.plan.get('weights'))}</code>. "
        + (f"Trained: {ran}. " if ran else "")
        + (f"Kept: phase {text(kept['name'])}, epoch {text(kept.get('best_epoch'))}. " if "name" in kept else "")
        + (f"Training took {_duration(timing['training_seconds'])}." if "training_seconds" in timing else "")
    )
    auc = metrics["metrics"]["auc"]
    area = f"the AUC is {_number(auc['value'])}" + (
        f" (95 % interval {_interval(auc)})" if auc["low"] is not None else ""
    )
    found = f"<b>Found:</b> on {_count(metrics['n'], 'image')} of the {text(metrics['split'])} split {area}."
    return f"<p>{asked}</p><p>{done}</p><p>{found}</p>"


def _show_scores(content) -> str:
    metrics, split = content.metrics, content.metrics["split"]
    positive = metrics.get("positive")
    meaning = (
        f"Positive class: <b>{text(positive)}</b>. AUC, sensitivity, specificity and F1 are about it."
        if positive is not None
        else "AUC, sensitivity, specificity and F1 are means over the classes, each against the rest."
    )
    if metrics.get("groups") is not None:
        meaning += f" The images come from {_count(metrics['groups'], 'group')}."
    rows = [(_name(name), _value(entry), _interval(entry), bar(entry)) for name, entry in metrics["metrics"].items()]
    noted = {name: entry["note"] for name, entry in metrics["metrics"].items() if "note" in entry}
    notes = [f"{_name(name)}: {text(note)}" for name, note in noted.items()]
    alt = f"ROC curve of the {split} split; AUC {_number(metrics['metrics']['auc']['value'])}"
    confusion = f"Confusion matrix of the {split} split: " + "; ".join(
        f"{name}: {', '.join(map(str, row))}"
        for name, row in zip(metrics["classes"], metrics["confusion"], strict=True)
    )
    pictures = picture(plots.roc_curves(content.predictions, split, positive), alt, "ROC")
    pictures += picture(plots.confusion_matrix(metrics), confusion, "Confusion matrix: rows sum to 100 %")
    head = ("Metric", "Value", "95 % interval", "0 to 1")
    return (
        f"<p>{meaning}</p>{table(head, rows, texts=(3,))}{_name_methods(metrics)}{bullets(notes)}"
        f"{_show_baselines(metrics)}"
        f"<h3>Each class against the rest</h3>{_show_classes(metrics)}"
        f'<div class="pair">{pictures}</div>'
    )


def _name_methods(metrics) -> str:
    methods = {}
    for name, entry in metrics["metrics"].items():
        methods.setdefault(entry["method"], []).append(name)
    said = [f"{text(method)} ({', '.join(map(_name, names))})" for method, names in methods.items() if method]
    return f"<p><small>Intervals: {'; '.join(said)}.</small></p>" if said else ""


def _show_baselines(metrics) -> str:
    baselines = metrics.get("baselines", {})
    if not baselines:
        return ""
    runs = {"this run": metrics["metrics"], **baselines}
    rows = [
        (
            f"{text(name.replace('_', ' '))}<br><small>{text(run.get('description', ''))}</small>",
            _value(run["auc"]),
            _interval(run["auc"]),
            bar(run["auc"]),
        )
        for name, run in runs.items()
    ]
    head = ("", "AUC", "95 % interval", "0 to 1")
    return f"<h3>Against what needs no transfer</h3>{table(head, rows, texts=(3,))}"


def _show_classes(metrics) -> str:
    columns = ("sensitivity", "specificity", "auc", "f1")
    shown = [name for name in columns if all(name in entry for entry in metrics["per_class"].values())]
    rows = [
        (
            text(label),
            f"{entry['n']:,}",
            *(f"{_value(entry[c])}<br><small>{_interval(entry[c])}</small>" for c in shown),
        )
        for label, entry in metrics["per_class"].items()
    ]
    notes = [
        f"{text(label)}, {_name(c)}: {text(entry[c]['note'])}"
        for label, entry in metrics["per_class"].items()
        for c in shown
        if "note" in entry[c]
    ]
    return table(("Class", "Images", *map(_name, shown)), rows) + bullets(notes)


def _show_data(content) -> str:
    order = {"train": 0, "val": 1, "test": 2}
    splits = sorted({row["split"] for row in content.splits}, key=lambda name: (order.get(name, 3), name))
    cells = Counter((row["label"], row["split"]) for row in content.splits)
    rows = [
        (text(label), *(f"{cells[label, split]:,}" for split in splits), f"{sum(cells[label, s] for s in splits):,}")
        for label in sorted({row["label"] for row in content.splits})
    ]
    whole = Counter(row["split"] for row in content.splits)
    rows.append(("all images", *(f"{whole[split]:,}" for split in splits), f"{len(content.splits):,}"))
    groups = {(row["group"], row["split"]) for row in content.splits if row.get("group")}
    if groups:
        per_split = Counter(split for _, split in groups)
        rows.append(("groups", *(f"{per_split[split]:,}" for split in splits), f"{len({g for g, _ in groups}):,}"))
    data = content.environment.get("data", {})
    made = {"made": "The splits were made by tlmed.", "given": "The splits were given with the data."}
    left_out = [f"{text(item['path'])}: {text(item['reason'])}" for item in data.get("left_out", [])]
    more = f"<h3>Left out</h3>{bullets(left_out)}" if left_out else ""
    return f"<p>{made.get(data.get('split'), '')}</p>{table(('Class', *map(text, splits), 'all'), rows)}{more}"


def _show_warnings(content) -> str:
    found = [*content.environment.get("warnings", []), *content.plan.get("warnings", [])]
    return bullets(map(text, [*found, *content.metrics.get("warnings", [])]))


def _show_phases(content) -> str:
    ran = Counter(row["phase"] for row in content.history)
    rows = [
        (
            text(phase["name"]),
            text(" ".join([*phase.get("blocks", []), "head"])),
            f"{phase['trainable_parameters']:,}",
            f"{phase['frozen_parameters']:,}",
            f"{phase['fine_tuning_ratio']:.2f}" if "fine_tuning_ratio" in phase else "",
            text(phase.get("batch_norm")),
            f"{ran[phase['name']]} of {text(phase.get('epochs', '?'))}",
            f"{phase['learning_rate']:g}" if "learning_rate" in phase else "",
        )
        for phase in content.plan.get("phases", [])
    ]
    head = ("Phase", "Trains", "Trainable", "Frozen", "Fine-tuning ratio", "BatchNorm", "Epochs", "Learning rate")
    layers = "".join(
        f"<p><b>{text(phase['name'])}</b>: {text(', '.join(phase.get('layers', [])))}</p>"
        for phase in content.plan.get("phases", [])
    )
    blocks = [
        (
            text(block["name"]),
            f"{block['layers']:,}",
            f"{block['parameters']:,}",
            text(" x ".join(map(str, block["shape"]))),
        )
        for block in content.plan.get("blocks", [])
    ]
    return (
        table(head, rows, texts=(1, 5))
        + "<p><small>The fine-tuning ratio is the share of the backbone's weighted layers that train.</small></p>"
        + fold("Layers that trained, phase by phase", layers)
        + fold(
            f"Blocks of {text(content.plan.get('backbone', 'the backbone'))}",
            table(("Block", "Layers", "Parameters", "Output"), blocks),
        )
    )


def _show_history(content) -> str:
    if not content.history:
        return ""
    last = content.history[-1]
    said = ", ".join(f"{_name(key)} {last[key]}" for key in ("loss", "val_loss", "val_auc") if last.get(key))
    alt = f"Loss, accuracy and AUC over {_count(len(content.history), 'epoch')}; at the end: {said}"
    return picture(plots.learning_curves(content.history), alt, "Training and validation, epoch by epoch")


def _show_cost(timing) -> str:
    named = {"training_seconds": "Training, from the first image read", "total_seconds": "Whole run"}
    rows = [(words, _duration(timing[key])) for key, words in named.items() if key in timing]
    if "images_per_second" in timing:
        rows.append(("Images per second while training", f"{timing['images_per_second']:,.1f}"))
    if "peak_memory_mb" in timing:
        rows.append(("Peak memory", f"{timing['peak_memory_mb']:,.0f} MB"))
    stages = [(text(stage["name"]), _duration(stage["seconds"])) for stage in timing.get("stages", [])]
    return table(("", ""), rows) + fold("Stages", table(("Stage", "Time"), stages))


def _show_environment(environment) -> str:
    rows = [
        (text(key), text(value)) for key, value in _flatten(environment) if not key.startswith(("warnings", "data"))
    ]
    return fold("Versions, devices, threads, seed, weights", table(("", ""), rows, texts=(1,)))


def _flatten(content, path="") -> Iterable[tuple[str, object]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", ", ".join(map(str, value)) if isinstance(value, list) else value


def _name(metric) -> str:
    return text(_NAMES.get(metric, str(metric).replace("_", " ").capitalize()))


def _number(value, digits=3) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def _value(entry) -> str:
    reason = f"<br><small>{text(entry['reason'])}</small>" if "reason" in entry else ""
    return _number(entry["value"]) + reason


def _interval(entry) -> str:
    return "" if entry["low"] is None else f"{_number(entry['low'])} to {_number(entry['high'])}"


def _count(number, noun) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _list(names) -> str:
    *most, last = map(text, names)
    return f"{', '.join(most)} and {last}" if most else last


def _duration(seconds) -> str:
    """Return seconds as people say them.

    >>> _duration(3.25), _duration(75), _duration(7380)
    ('3.2 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{path.name}` must be JSON in UTF-8. Received: {path}: {error}.") from error
