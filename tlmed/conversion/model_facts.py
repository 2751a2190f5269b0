"""What travels with a model as `model.json`: how images are read, what scores mean, and what it was made from."""

from importlib.metadata import version

from tlmed.conversion.runtimes import Format
from tlmed.data.decode_and_resize import RULE
from tlmed.evaluation.answer_facts import describe_answers
from tlmed.inference.panel import Panel
from tlmed.intact import LOCK
from tlmed.regular_files import sha256

NOT_A_DEVICE = "Not a medical device: for research only."


def describe_model(panel: Panel, form: Format) -> dict:
    """Return what `model.json` says, apart from what is known only after the model was written.

    Args:
        panel: What answers.
        form: The format of the model.
    """
    rule = panel.first.rule
    shape = [form.batch, *rule.size, 3]
    answers = describe_answers(panel.metrics, panel.first.classes, panel.decision, panel.pooling)
    return {
        "made_by": f"tlmed {version('tlmed')}",
        "use": NOT_A_DEVICE,
        "format": form.name,
        "file": form.file,
        "input": {"shape": shape, "dtype": form.dtype, "values": "RGB, 0 to 255, not scaled"},
        **({"runtime_settings": dict(form.settings)} if form.settings else {}),
        "pixels": {**rule.to_json(), "rule": RULE, "channels": panel.recipe.data.channels},
        **answers,
        "calibration": {**answers["calibration"], "in_graph": form.calibrates},
        "runs": [_identify(member.run, weight) for member, weight in zip(panel.members, panel.weights, strict=True)],
    }


def _identify(run, weight: float) -> dict:
    """Return the digests of a network and of the lock of its run, by which others can tell what was exported."""
    names = ("model.keras", "classifier.skops", LOCK)
    digests = {name: sha256(run / name) for name in names if (run / name).is_file()}
    return {"weight": float(weight), "sha256": digests}
