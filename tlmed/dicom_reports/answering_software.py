"""What answered: the networks of a run, by name, version and lock, and how far they can be trusted, in sentences."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from tlmed.answer_units import unit_of
from tlmed.dicom_reports.class_codes import ClassCode, name_class
from tlmed.evaluation.answer_rules import say_rule
from tlmed.evaluation.decision_lines import order_by_main, say_median, say_threshold
from tlmed.evaluation.label_lines import name_averaged
from tlmed.evaluation.lines import say_without_leaks
from tlmed.evaluation.pooling import say_unknown_groups
from tlmed.export.naming import name_weights
from tlmed.inference.panel import Panel, describe_check
from tlmed.intact import LOCK, checksum, read_verified
from tlmed.metrics import positive_index
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import begin_sentence, count, join_names, span, thousandths

MAKER = "tlmed"
WARNING = "Research result of a neural network. Not a medical device; not for diagnosis or treatment."


@dataclass(frozen=True)
class Software:
    """What answered.

    Attributes:
        name: The networks that answer, such as "MobileNetV2".
        version: Of the tlmed that trained them.
        lock: The SHA-256 of the run's lock: with it, `tlmed reproduce` finds the run again.
        remarks: How it decides and what it is worth, sentences.
    """

    name: str
    version: str
    lock: str
    remarks: tuple[str, ...]

    @property
    def uid(self) -> str:
        """Return a UID that is the same for the same lock: a UUID as a number (PS3.5, B.2)."""
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'tlmed lock {self.lock}').int}"


def describe_software(panel: Panel, codes: Mapping[str, ClassCode]) -> Software:
    """Return what answers for a run, a cross-validation or an ensemble.

    Args:
        panel: Its networks.
        codes: Of each class, which is called in sentences as everywhere in the report.

    Raises:
        InputError: A member has no lock, one of another format, or one that was changed.
    """
    locks = [read_verified(member.run / LOCK) for member in panel.members]
    names = list(dict.fromkeys(name for member in panel.members for name in _name_backbones(member.recipe.backbone)))
    versions = dict.fromkeys(lock["code"]["version"] for lock in locks)
    name = join_names(names) if panel.is_single else f"{len(panel.members)} networks: {join_names(names)}"
    # Of one network it is its own; of several it is that of all of them, in their order, with their shares.
    sums = [checksum(lock) for lock in locks]
    shares = zip(sums, panel.weights.tolist(), strict=True)
    joint = "\n".join(f"{own} {share!r}" for own, share in shares)
    together = sums[0] if panel.is_single else hashlib.sha256(joint.encode()).hexdigest()
    result = _rename_classes(panel.metrics, {name: name_class(name, code) for name, code in codes.items()})
    calibration = panel.decision.calibration
    remarks = [*_describe_decision(result, calibration), *_describe_worth(result), *_describe_doubts(panel)]
    remarks += [f"SHA-256 of a member's lock: {own}" for own in sums if not panel.is_single]
    return Software(name, join_names(versions), together, tuple(remarks))


def _name_backbones(backbone) -> list[str]:
    names = [backbone] if isinstance(backbone, str) else list(backbone)
    return [name_weights(name) for name in names]


def _rename_classes(result: Mapping, names: Mapping[str, str]) -> dict:
    """Return what `metrics.json` says, with other names of classes where sentences name them."""
    main = positive_index(result["classes"], result["positive"]) if read_task(result) != MULTI_LABEL else None
    metrics = {
        metric: {**entry, "absent": [names[name] for name in entry.get("absent", ())]}
        for metric, entry in result["metrics"].items()
    }
    classes = [names[name] for name in result["classes"]]
    return {**result, "metrics": metrics, "classes": classes, "positive": None if main is None else classes[main]}


def _describe_decision(result: Mapping, calibration: Mapping) -> list[str]:
    """Say by which rule the answer is chosen, and how probabilities were calibrated."""
    said = [*say_unknown_groups(result), _say_choice(result)]
    if "temperature" in calibration and calibration.get("n"):
        said.append(
            f"Calibrated probabilities: {calibration['method']}, on "
            f"{count(calibration['n'], f'validation {unit_of(result)}')}."
        )
    elif calibration.get("method"):
        said.append(f"Calibrated probabilities: {calibration['method']}.")
    return said


def _say_choice(result: Mapping) -> str:
    if read_task(result) == MULTI_LABEL:
        return "Each label is predicted from its own threshold on."
    if "decision" in result and result.get("threshold") is None:
        return f"Predicted is {say_rule(result['decision'])}."
    if said := say_median(result):
        return said
    if result.get("threshold") is None:
        return "Predicted is the class with the highest score."
    return f"{order_by_main(result)[0]} is predicted from a score of {say_threshold(result)} on."


def _describe_worth(result: Mapping) -> list[str]:
    """Say what the metric that decides was on test images; nothing of a cross-validation that answers together."""
    name = result.get("primary", "auc")
    entry = result["metrics"].get(name)
    if entry is None or entry["value"] is None:
        return []
    interval = "no interval"
    if entry["low"] is not None:
        interval = f"95 % interval {span(entry['value'], entry['low'], entry['high'])}"
    where = f", {count(result['n'], f'test {unit_of(result)}')}" if result.get("n") else ""
    return [f"{begin_sentence(name_averaged(name, result))} {thousandths(entry['value'])} ({interval}{where})."]


def _describe_doubts(panel: Panel) -> list[str]:
    """Say which errors the check of the data found, and the AUC without known images: both limit what it is worth."""
    return [*describe_check(panel), *say_without_leaks(panel.metrics)]
