"""What a shared folder says of its network, its images and its scores: no path, file name, group or warning."""

from collections.abc import Mapping, Sequence

from tlmed.evaluation.answer_facts import describe_answers, say_calibration, say_decision
from tlmed.export.card_facts import CardFacts
from tlmed.export.naming import name_weights
from tlmed.fitting_in import describe_fit
from tlmed.inference.panel import Panel
from tlmed.run_files import Metrics
from tlmed.run_files.shared_files import FORMAT, MODEL, Shared
from tlmed.targets import make_mark

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
        **rule.to_json(),
        "layout": "[batch, height, width, channel]",
        "channels": "RGB; gray values are repeated",
        "dtype": "float32",
        "values": [0, 255],
        "window_in_words": rule.intensity.describe(),
        "fit_in_words": describe_fit(rule.fit, rule.size, rule.spacing),
        "resizing": "bilinear with antialiasing, in 8 bits (Pillow's Image.resize with BILINEAR)",
        "normalisation": f"inside {MODEL}",
        **({"parts": {name: getattr(data, name) for name in _OF_PARTS}} if of_parts else {}),
    }


def _describe_answer(panel) -> dict:
    """Return how scores become an answer, by the names that `model.json` of an exported model has."""
    decision, classes = panel.decision, panel.first.classes
    found = describe_answers(panel.metrics, classes, decision, panel.pooling)
    if decision.labels:
        pairs = zip(classes, decision.labels, strict=True)
        parts = {"labels": {name: {"threshold": it.threshold, "temperature": it.temperature} for name, it in pairs}}
    else:
        parts = {"threshold": decision.threshold, "temperature": decision.temperature}
    return {
        **found,
        **parts,
        "calibration_in_words": say_calibration(found["task"]),
        "decision_in_words": say_decision(found["decision"]),
        "unit": panel.metrics.get("unit", "image"),
        "pool": panel.metrics.get("pool"),
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
