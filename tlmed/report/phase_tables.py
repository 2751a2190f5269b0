"""The phases of a run: what each trained, its epochs, and the proof that frozen weights did not change."""

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from tlmed.evaluation import training_plots
from tlmed.metrics.names import name_metric
from tlmed.pages.amounts import join, say_apart
from tlmed.pages.figures import Picture, draw
from tlmed.pages.glossary import explain
from tlmed.pages.templating import render
from tlmed.report.loaded_files import RunContent
from tlmed.sections.phase_words import name_optimizers, say_phases
from tlmed.tabulation import Table, numbers, say, texts
from tlmed.words import count, tell_apart

_MOST_NAMES = 6  # blocks that a cell of the table names one by one


def show_phases(content: RunContent) -> Markup:
    """Return what each phase trained; nothing where there were no phases."""
    phases = content.plan.get("phases", [])
    if not phases:
        return Markup()
    return render(
        "report/phases.html",
        phases=_tabulate_phases(phases, Counter(row["phase"] for row in content.history)),
        recalibrated=_tabulate_recalibration(content.metrics.get("recalibration", ())),
        layers=[(phase["name"], phase.get("layers", [])) for phase in phases],
        rates=_list_rates(phases),
        optimizers=_list_optimizers(phases),
        said=[*say_phases(phases), *content.plan.get("trained", ())],
        blocks=show_blocks(content.plan),
    )


def _list_optimizers(phases) -> list[str]:
    """Return each optimizer with its settings."""
    used = name_optimizers(phases)
    return [f"{name}: {', '.join(f'{key} {value}' for key, value in found.items())}" for name, found in used.items()]


def _tabulate_phases(phases, ran) -> Table:
    moving = any("moving_statistics" in phase for phase in phases)
    ratios = tell_apart(*(phase.get("fine_tuning_ratio", 0.0) for phase in phases), places=2)
    rows = [
        (
            say(phase["name"], below=("from the initial weights",) if phase.get("start") == "pretrained" else ()),
            _name_blocks(phase),
            f"{phase['trainable_parameters']:,}",
            *((f"{phase.get('moving_statistics', 0):,}",) if moving else ()),
            f"{phase['frozen_parameters']:,}",
            ratio if "fine_tuning_ratio" in phase else "",
            phase.get("batch_norm", ""),
            _count_epochs(ran, phase),
            _name_rates(phase),
        )
        for phase, ratio in zip(phases, ratios, strict=True)
    ]
    columns = (
        *texts("Phase", "Trains"),
        *numbers("Trainable", *(("Moving statistics",) if moving else ()), "Frozen", explain("fine_tuning_ratio")),
        *(*texts(explain("batch_norm")), *numbers("Epochs", "Learning rate")),
    )
    return Table(columns, rows)


def _tabulate_recalibration(entries) -> Table:
    """Return the scores before and after BatchNorm statistics were estimated again."""
    rows = [
        (
            entry["phase"],
            name_metric(entry["monitor"]),
            *tell_apart(entry["before"], entry["after"], places=4),
            "Worse, by more than its noise" if entry["worse"] else "",
        )
        for entry in entries
    ]
    return Table(texts("Phase", "Score") + numbers("Before", "After") + texts(""), rows)


def show_blocks(plan: Mapping) -> Markup:
    """Return the backbone's blocks as a table, folded."""
    rows = [
        (block["name"], f"{block['layers']:,}", f"{block['parameters']:,}", _name_shape(block["shape"]))
        for block in plan.get("blocks", [])
    ]
    if not rows:
        return Markup()
    table = Table(texts("Block") + numbers("Layers", "Parameters", "Output"), rows)
    return render("report/blocks.html", backbone=join(plan.get("backbone", "the backbone")), blocks=table)


def show_history(content: RunContent) -> Markup:
    """Return the learning curves; nothing where no epoch was trained."""
    solved = {row["phase"] for row in content.strengths}
    history = [row for row in content.history if row["phase"] not in solved]
    if not history:
        return Markup()
    last = history[-1]
    said = ", ".join(f"{name_metric(key)} {last[key]}" for key in ("loss", "val_loss", "val_auc") if last.get(key))
    alt = f"Loss, accuracy and AUC over {count(len(history), 'epoch')}; at the end: {said}"
    caption = "; ".join(["Training and validation, epoch by epoch", *_tell_training(content.recipe)])
    drawn = draw(training_plots.learning_curves(history), alt, caption)
    return render("report/history.html", apart=say_apart(content.metrics), picture=drawn)


def show_strengths(content: RunContent) -> Markup:
    """Return the scores of solved heads against the strength of L2; nothing where none was chosen from several."""
    names = dict.fromkeys(row["phase"] for row in content.strengths)
    paths = [[row for row in content.strengths if row["phase"] == name] for name in names]
    pictures = [_draw_strengths(path) for path in paths if len(path) > 1]
    apart = say_apart(content.metrics)
    return render("report/strengths.html", apart=apart, pictures=pictures) if pictures else Markup()


def _draw_strengths(path) -> Picture:
    chosen = next(row for row in path if row["chosen"] == "yes")
    folds = chosen["judged_on"] == "folds"
    judged = "folds of the training images, because a class is rare in validation" if folds else "validation images"
    weighted = chosen["val_weighted_loss"] != chosen["val_loss"]
    name = "log loss, classes weighted," if weighted else "log loss"
    score = f"{name} {float(chosen['val_weighted_loss']):.4f}"
    alt = (
        f"Loss, accuracy and AUC of {count(len(path), 'strength')} of L2; chosen: {float(chosen['l2']):g} with {score}"
    )
    caption = f"Phase {path[0]['phase']}: {float(chosen['l2']):g} was chosen by the {name} of {judged}"
    return draw(training_plots.score_by_strength(path), alt, caption)


def _tell_training(recipe) -> list[str]:
    """Say why the scores of training are not of the same kind as those of validation, where they are not."""
    focal = recipe.get("head", {}).get("loss") == "focal"
    phases = recipe.get("phases", [])
    phases = phases if isinstance(phases, list) else [phases]
    said = {
        "the loss of training is the focal loss, that of validation the cross-entropy": focal,
        "the loss of training weighs the classes": recipe.get("class_weight") == "balanced",
        "training draws the classes equally often": recipe.get("sampling") == "balanced",
        "the loss of training is that of smoothed labels": any(phase.get("label_smoothing") for phase in phases),
        "training mixes images": any(phase.get("mixup") for phase in phases),
        "the loss of training holds the distance from the pretrained weights": any(
            phase.get("l2_sp") for phase in phases
        ),
    }
    return [words for words, holds in said.items() if holds]


def show_certificate(content: RunContent) -> Markup:
    """Return for how many weights the hash stayed the same, and for how many it changed."""
    phases = content.freeze.get("phases", [])
    if not phases:
        return Markup()
    rows = [
        (
            phase["phase"],
            f"{len(phase['frozen']):,}",
            f"{len(phase['moved']):,}",
            *(f"{Counter(phase['blocks'].values())[state]:,}" for state in ("frozen", "thawed")),
        )
        for phase in phases
    ]
    columns = texts("Phase") + numbers("Weights that stayed", "Weights that moved", "Parts frozen", "Parts thawed")
    return render(
        "report/certificate.html",
        algorithm=content.freeze.get("algorithm", "").upper().replace("SHA", "SHA-"),
        seconds=content.freeze.get("seconds"),
        training=content.timing.get("training_seconds"),
        phases=Table(columns, rows),
        adapted=[(phase["phase"], count(len(phase["adapted"]), "weight")) for phase in phases if phase.get("adapted")],
    )


def _count_epochs(ran, phase) -> str:
    if ran and not ran[phase["name"]]:
        return "not tried"  # the phases before it had stopped improving
    if phase.get("solver"):
        return "solved"
    return f"{ran[phase['name']]} of {phase.get('epochs', '?')}"


def _name_blocks(phase) -> str:
    blocks = phase.get("blocks", [])
    if len(blocks) > _MOST_NAMES:
        amount = count(phase["weighted_layers"], "layer") if "weighted_layers" in phase else len(blocks)
        return f"{blocks[0]} .. {blocks[-1]} ({amount}) head"
    return " ".join([*blocks, "head"])


def _name_rates(phase) -> str:
    if phase.get("solver"):
        return ""
    rates = phase.get("learning_rates", {}).values()
    if len(set(rates)) > 1:
        return f"{min(rates):.3g} to {max(rates):.3g}"
    return f"{phase['learning_rate']:g}" if "learning_rate" in phase else ""


def _list_rates(phases: Sequence[Mapping]) -> list[tuple[str, str]]:
    """Return the learning rate of every block, for each phase that has several."""
    rates = {phase["name"]: phase.get("learning_rates", {}) for phase in phases}
    return [
        (phase, ", ".join(f"{name} {rate:.3g}" for name, rate in found.items()))
        for phase, found in rates.items()
        if len(set(found.values())) > 1
    ]


def _name_shape(shape) -> str:
    """Return an output's shape, or those of several branches.

    >>> _name_shape([7, 7, 1280]), _name_shape([[7, 7, 1280], [5, 5, 16]])
    ('7 x 7 x 1280', '7 x 7 x 1280 + 5 x 5 x 16')
    """
    if shape and isinstance(shape[0], list):
        return " + ".join(map(_name_shape, shape))
    return " x ".join(map(str, shape))
