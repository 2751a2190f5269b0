"""What travels with a model as `model.json`: how images are read, what scores mean, and what it was made from."""

from importlib.metadata import version

import numpy as np

from tlmed.conversion.runtimes import Format
from tlmed.data.decode_and_resize import RULE
from tlmed.evaluation.decisions import Decision
from tlmed.inference.panel import Panel
from tlmed.intact import LOCK
from tlmed.intensity import to_json
from tlmed.regular_files import sha256
from tlmed.tasks import MULTI_LABEL, ORDINAL, read_task

NOT_A_DEVICE = "Not a medical device: for research only."


def describe_model(panel: Panel, form: Format) -> dict:
    """Return what `model.json` says, apart from what is known only after the model was written.

    Args:
        panel: What answers.
        form: The format of the model.
    """
    classes, task, rule = list(panel.first.classes), read_task(panel.metrics), panel.first.rule
    shape = [form.batch, *rule.size, 3]
    pixels = {"size": list(rule.size), "fit": rule.fit, "spacing": rule.spacing, "window": to_json(rule.intensity)}
    pooling = panel.pooling
    return {
        "made_by": f"tlmed {version('tlmed')}",
        "use": NOT_A_DEVICE,
        "format": form.name,
        "file": form.file,
        "input": {"shape": shape, "dtype": form.dtype, "values": "RGB, 0 to 255, not scaled"},
        "task": task,
        "classes": classes,
        "positive": panel.metrics.get("positive"),
        "pixels": {**pixels, "rule": RULE, "channels": panel.recipe.data.channels},
        "calibration": {**_describe_calibration(panel.decision), "in_graph": form.calibrates},
        "decision": describe_decision(panel.decision, panel.metrics.get("positive"), task),
        "pooling": {"how": pooling.how, "by": pooling.by if pooling.how else None},
        "runs": [_identify(member.run, weight) for member, weight in zip(panel.members, panel.weights, strict=True)],
    }


def _describe_calibration(decision: Decision) -> dict:
    """Return method and temperature; of several labels that of each."""
    if decision.labels:
        return {"method": decision.calibration["method"], "temperature": [it.temperature for it in decision.labels]}
    return {"method": decision.calibration["method"], "temperature": decision.temperature}


def describe_decision(decision: Decision, positive: str | None, task: str) -> dict:
    """Return how scores become answers, in the words that `read_images.py` knows.

    Args:
        decision: The run's.
        positive: The positive one of two classes, None for more.
        task: Of `tlmed.tasks`.

    >>> from tlmed.evaluation.decisions import state_thresholds
    >>> describe_decision(state_thresholds([(0.3, True)], False), "ill", "single-label")
    {'rule': 'threshold', 'threshold': 0.3, 'chosen_by': 'stated', 'of': 'scores'}
    """
    if task == MULTI_LABEL:
        return {"rule": "thresholds", "thresholds": decision.thresholds, "of": "scores"}
    if positive is not None:
        point = decision.operating_point
        return {"rule": "threshold", "threshold": decision.threshold, "chosen_by": point["rule"], "of": "scores"}
    if decision.rule is None:
        if task == ORDINAL:
            return {"rule": "median", "of": "calibrated"}
        return {"rule": "highest", "of": "scores"}
    if decision.rule.name == "expected-cost":
        costs = np.asarray(decision.rule.weighed, float).tolist()
        return {"rule": decision.rule.name, "costs": costs, "of": "calibrated"}
    priors = np.asarray(decision.rule.priors, float).tolist()
    return {"rule": decision.rule.name, "tau": decision.rule.tau, "priors": priors, "of": "calibrated"}


def _identify(run, weight: float) -> dict:
    """Return the digests of a network and of the lock of its run, by which others can tell what was exported."""
    names = ("model.keras", "classifier.skops", LOCK)
    digests = {name: sha256(run / name) for name in names if (run / name).is_file()}
    return {"weight": float(weight), "sha256": digests}
