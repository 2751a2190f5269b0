"""The phases of a run: what each trained, epoch by epoch, and the proof that the rest stayed."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tlmed.evaluation import training_plots
from tlmed.evaluation.page import fold, picture, table, text
from tlmed.pages.amounts import duration, join, say_half
from tlmed.report.content import Content
from tlmed.report.glossary import explain
from tlmed.report.words import name_metric
from tlmed.words import count

_MOST_NAMES = 6  # blocks that a cell of the table names one by one


def show_phases(content: Content) -> str:
    """Return what each phase trained as HTML; nothing where there were no phases."""
    phases = content.plan.get("phases", [])
    if not phases:
        return ""
    ran = Counter(row["phase"] for row in content.history)
    rows = [
        (
            text(phase["name"]) + _name_start(phase),
            text(_name_blocks(phase)),
            f"{phase['trainable_parameters']:,}",
            f"{phase['frozen_parameters']:,}",
            f"{phase['fine_tuning_ratio']:.2f}" if "fine_tuning_ratio" in phase else "",
            text(phase.get("batch_norm")),
            _count_epochs(ran, phase),
            _name_rates(phase),
        )
        for phase in phases
    ]
    ratio, norm = explain("fine_tuning_ratio"), explain("batch_norm")
    head = ("Phase", "Trains", "Trainable", "Frozen", ratio, norm, "Epochs", "Learning rate")
    layers = "".join(
        f"<p><b>{text(phase['name'])}</b>: {text(', '.join(phase.get('layers', [])))}</p>" for phase in phases
    )
    return (
        table(head, rows, texts=(1, 5))
        + _show_recalibration(content.metrics.get("recalibration", ()))
        + fold("Layers that trained, phase by phase", layers)
        + _show_rates(phases)
        + show_blocks(content.plan)
    )


def _show_recalibration(entries) -> str:
    """Return the scores before and after BatchNorm statistics were estimated again; nothing where none were."""
    if not entries:
        return ""
    rows = [
        (
            text(entry["phase"]),
            name_metric(entry["monitor"]),
            f"{entry['before']:.4f}",
            f"{entry['after']:.4f}",
            "Worse, by more than its noise" if entry["worse"] else "",
        )
        for entry in entries
    ]
    return (
        "<p>After these phases BatchNorm statistics were estimated again on training images. The epoch was chosen by "
        "the score before that; the network that was kept has the score after it.</p>"
        + table(("Phase", "Score", "Before", "After", ""), rows, texts=(1, 4))
    )


def show_blocks(plan: Mapping) -> str:
    """Return the backbone's blocks as a table of HTML, folded."""
    rows = [
        (text(block["name"]), f"{block['layers']:,}", f"{block['parameters']:,}", text(_name_shape(block["shape"])))
        for block in plan.get("blocks", [])
    ]
    name = text(join(plan.get("backbone", "the backbone")))
    return fold(f"Blocks of {name}", table(("Block", "Layers", "Parameters", "Output"), rows)) if rows else ""


def show_history(content: Content) -> str:
    """Return the learning curves as HTML; nothing where no epoch was trained."""
    if not content.history:
        return ""
    last = content.history[-1]
    said = ", ".join(f"{name_metric(key)} {last[key]}" for key in ("loss", "val_loss", "val_auc") if last.get(key))
    alt = f"Loss, accuracy and AUC over {count(len(content.history), 'epoch')}; at the end: {said}"
    drawn = picture(training_plots.learning_curves(content.history), alt, "Training and validation, epoch by epoch")
    half = say_half(content.metrics)
    return (f"<p>{half}</p>" if half else "") + drawn


def show_certificate(content: Content) -> str:
    """Return how many weights were proved to stay, and how many moved, as HTML."""
    phases = content.freeze.get("phases", [])
    if not phases:
        return ""
    seconds, training = content.freeze.get("seconds"), content.timing.get("training_seconds")
    share = f", {seconds / training:.2%} of the training time" if seconds is not None and training else ""
    cost = f" Hashing took {duration(seconds)}{share}." if seconds is not None else ""
    rows = [
        (
            text(phase["phase"]),
            f"{len(phase['frozen']):,}",
            f"{len(phase['moved']):,}",
            *(f"{Counter(phase['blocks'].values())[state]:,}" for state in ("frozen", "thawed")),
        )
        for phase in phases
    ]
    algorithm = text(content.freeze.get("algorithm", "").upper().replace("SHA", "SHA-"))
    head = ("Phase", "Weights that stayed", "Weights that moved", "Parts frozen", "Parts thawed")
    return (
        f"<p>Every weight, BatchNorm statistics included, was hashed ({algorithm}) before and after each phase: all "
        f"that had to stay are the same to the bit, and something moved in every thawed part.{cost}</p>"
        + table(head, rows)
    )


def _count_epochs(ran, phase) -> str:
    if ran and not ran[phase["name"]]:
        return "not tried"  # the phases before it had stopped improving
    return f"{ran[phase['name']]} of {text(phase.get('epochs', '?'))}"


def _name_blocks(phase) -> str:
    blocks = phase.get("blocks", [])
    if len(blocks) > _MOST_NAMES:
        amount = count(phase["weighted_layers"], "layer") if "weighted_layers" in phase else len(blocks)
        return f"{blocks[0]} .. {blocks[-1]} ({amount}) head"
    return " ".join([*blocks, "head"])


def _name_start(phase) -> str:
    return "<br><small>from the initial weights</small>" if phase.get("start") == "pretrained" else ""


def _name_rates(phase) -> str:
    rates = phase.get("learning_rates", {}).values()
    if len(set(rates)) > 1:
        return f"{min(rates):.3g} to {max(rates):.3g}"
    return f"{phase['learning_rate']:g}" if "learning_rate" in phase else ""


def _show_rates(phases: Sequence[Mapping]) -> str:
    """Return the learning rate of every block, folded, where a phase has several."""
    several = [phase for phase in phases if len(set(phase.get("learning_rates", {}).values())) > 1]
    said = "".join(
        f"<p><b>{text(phase['name'])}</b>: "
        + ", ".join(f"{text(name)} {rate:.3g}" for name, rate in phase["learning_rates"].items())
        + "</p>"
        for phase in several
    )
    return fold("Learning rates, block by block", said) if said else ""


def _name_shape(shape) -> str:
    """Return an output's shape, or those of several branches.

    >>> _name_shape([7, 7, 1280]), _name_shape([[7, 7, 1280], [5, 5, 16]])
    ('7 x 7 x 1280', '7 x 7 x 1280 + 5 x 5 x 16')
    """
    if shape and isinstance(shape[0], list):
        return " + ".join(map(_name_shape, shape))
    return " x ".join(map(str, shape))
