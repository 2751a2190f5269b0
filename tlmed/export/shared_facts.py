"""What a shared folder says of its network, its images and its scores: no path, file name, group or warning."""

from collections.abc import Mapping, Sequence

from tlmed import intensity
from tlmed.export.card_facts import CardFacts
from tlmed.export.naming import name_weights
from tlmed.fitting_in import describe_fit
from tlmed.inference.panel import Panel
from tlmed.run_files import Metrics
from tlmed.run_files.shared_files import FORMAT, MODEL, Shared
from tlmed.targets import make_mark
from tlmed.tasks import read_task

# Parts of `metrics.json` that hold scores, and how they were found. All others stay at home: what was evaluated and
# warned of has paths, and members of an ensemble have the names of directories.
_SCORES = (
    *("split", "task", "primary", "unit", "pool", "per_sample", "n", "groups", "largest_group", "copies", "classes"),
    *("positive", "metrics", "per_class", "cuts", "confusion", "threshold", "operating_point", "calibration", "costs"),
    *("decision", "kept", "classifier", "without_leaks", "units", "undecided", "validation", "folds", "baselines"),
)
_OF_PARTS = ("planes", "axis", "channels", "tile", "mpp", "tiles", "tissue")  # settings for volumes and slides


def describe_shared(panel: Panel, contents: Sequence[CardFacts], sha256: str) -> Shared:
    """Return the content of `preprocessing.json`.

    Args:
        panel: What answers.
        contents: The facts of the runs whose networks are in the file; the first speaks for how images are read.
        sha256: Of the shared `model.keras`.
    """
    first = contents[0]
    pairs = zip(first.backbones, first.weights, strict=True)
    backbones = [
        {
            "name": name_weights(name),
            "graph": source.get("graph") or "unknown",
            "weights": name_weights(str(source["name"])),
            "licence": source.get("licence"),
        }
        for name, source in pairs
    ]
    return {
        "format": FORMAT,
        "made_by": f"{make_mark('export')} tlmed {first.environment.get('versions', {}).get('tlmed')}",
        "images": _describe_images(panel),
        "answer": _describe_answer(panel),
        "network": {
            "file": MODEL,
            "sha256": sha256,
            "gives": "features" if first.is_hybrid else "probabilities",
            "members": len(contents),
            "backbones": backbones,
        },
    }


def _describe_images(panel) -> dict:
    rule, data = panel.first.rule, panel.recipe.data
    of_parts = data.planes is not None or data.tile is not None
    return {
        "size": list(rule.size),
        "layout": "[batch, height, width, channel]",
        "channels": "RGB; gray values are repeated",
        "dtype": "float32",
        "values": [0, 255],
        "window": intensity.to_json(rule.intensity),
        "window_in_words": rule.intensity.describe(),
        "fit": rule.fit,
        "spacing": rule.spacing,
        "fit_in_words": describe_fit(rule.fit, rule.size, rule.spacing),
        "resizing": "bilinear with antialiasing, in 8 bits (Pillow's Image.resize with BILINEAR)",
        "normalisation": f"inside {MODEL}",
        **({"parts": {name: getattr(data, name) for name in _OF_PARTS}} if of_parts else {}),
    }


def _describe_answer(panel) -> dict:
    metrics, decision = panel.metrics, panel.decision
    found = {
        "task": read_task(metrics),
        "unit": metrics.get("unit", "image"),
        "pool": metrics.get("pool"),
        "classes": list(panel.first.classes),
        "positive": metrics.get("positive"),
        "calibration": decision.calibration.get("method"),
    }
    if decision.labels:
        found["labels"] = {
            name: {"threshold": label.threshold, "temperature": label.temperature}
            for name, label in zip(panel.first.classes, decision.labels, strict=True)
        }
    else:
        found |= {"threshold": decision.threshold, "temperature": decision.temperature}
        if decision.rule is not None:
            found["decision"] = decision.rule.describe(panel.first.classes)
    return {
        **found,
        "threshold_in_words": "of the positive class's score before calibration: predicted from it on",
        "temperature_in_words": "calibrated probabilities are the softmax of log(score) / temperature",
    }


def clean_metrics(metrics: Metrics) -> Mapping:
    """Return of `metrics.json` what may be shared: scores, and how they were found.

    >>> clean_metrics({"n": 3, "evaluated": {"run": "/home/me/run"}})
    {'n': 3}
    """
    found = {name: metrics[name] for name in _SCORES if name in metrics}
    if "ensemble" in metrics:
        found["ensemble"] = {"weights": [member["weight"] for member in metrics["ensemble"]["members"]]}
    return found
