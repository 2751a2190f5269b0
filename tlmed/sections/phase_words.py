"""What the schedule, the regularisers and the optimizers of phases do, in words."""

from collections.abc import Mapping, Sequence

from tlmed.sections.adaptation import BITFIT, LORA, RANK, SSF
from tlmed.sections.training import EMA, EMA_DECAY, TOP3
from tlmed.words import count, join_names

_SCHEDULES = {
    "cosine": "the learning rate falls to 0 along a cosine",
    "linear": "the learning rate falls to 0 in equal steps",
    "step": "the learning rate falls to a tenth after half of the steps and to a hundredth after three quarters",
    "plateau": "the learning rate falls to a tenth when the validation score stays",
}


def say_phase(fields: Mapping) -> str:
    """Return which schedule and regularisers a phase has; "" where it has none.

    Args:
        fields: Those of a `Phase`; what an older run does not know is off.

    >>> say_phase({"schedule": "linear", "warmup": 0.1, "clip_norm": None})
    'the learning rate falls to 0 in equal steps, after a warm-up in 10 % of the steps'
    >>> say_phase({"schedule": "step", "warmup": 0.1}).rsplit(" and ", 1)[1]
    'to a hundredth after three quarters of those after a warm-up in 10 % of the steps'
    """
    if fields.get("solver"):
        return _say_solver(fields)
    falls = _SCHEDULES.get(fields.get("schedule"), "")
    warmup = f"a warm-up in {fields['warmup'] * 100:.3g} % of the steps" if fields.get("warmup") else ""
    # The steps of a fall in parts are counted from the end of the warm-up.
    between = " of those after " if fields.get("schedule") == "step" else ", after "
    said = [f"{falls}{between}{warmup}" if falls and warmup else falls or warmup]
    said += [_say_adapter(fields)] if fields.get("adapt") else []
    said += [say(fields[name]) for name, say in _SAID.items() if fields.get(name) is not None]
    return "; ".join(filter(None, said))


def _say_solver(fields) -> str:
    strength = fields["l2"]
    chosen = "the strength of L2 chosen from a path" if strength == "auto" else f"the strength of L2 {strength:g}"
    return f"the head is solved and not trained (logistic regression by {_SOLVERS[fields['solver']]}), {chosen}"


def _say_adapter(fields) -> str:
    """Say what is trained of thawed blocks, with the numbers where `plan.json` has them."""
    kind, found = fields["adapt"], fields.get("adapters")
    rank = f" of rank {(found or fields).get('rank') or RANK}" if kind == LORA else ""
    size = f" ({count(found['parameters'], 'number')} for {count(found['layers'], 'layer')})" if found else ""
    return f"{_ADAPTERS[kind]}{rank} in place of the thawed blocks' weights{size}"


def say_phases(phases: Sequence[Mapping]) -> list[str]:
    """Return for each phase that has a schedule or a regulariser, by name, which.

    >>> say_phases([{"name": "head"}, {"name": "top", "clip_norm": 0.5}])
    ['top: gradients of a norm of 0.5 at most']
    """
    return [f"{phase['name']}: {said}" for phase in phases if (said := say_phase(phase))]


def say_epoch(kept: Mapping) -> str:
    """Return which epoch of the kept phase gave the weights, or what they are the mean of, or that they were solved.

    Args:
        kept: That part of `metrics.json`.

    >>> say_epoch({"best_epoch": 3}), say_epoch({"best_epoch": 3, "averaged": [3, 5]})
    ('epoch 3', 'mean of epochs 3 and 5')
    >>> say_epoch({"best_epoch": 3, "moving_average": 5})
    'moving average of the weights after epoch 5'
    >>> say_epoch({"best_epoch": 1, "solved": True})
    'solved'
    """
    if kept.get("solved"):
        return "solved"
    if kept.get("moving_average"):
        return f"moving average of the weights after epoch {kept['moving_average']}"
    if averaged := kept.get("averaged"):
        return f"mean of epochs {join_names(map(str, averaged))}"
    return f"epoch {kept.get('best_epoch', '')}"


def name_optimizers(phases: Sequence[Mapping]) -> dict[str, Mapping]:
    """Return the settings of each optimizer, by its name; with the phases' names where it has others in other phases.

    Args:
        phases: Those of `plan.json`. What is solved has no optimizer, and older versions did not record its settings.

    >>> adam = {"optimizer": "adam", "optimizer_settings": {"beta_1": 0.9}}
    >>> sgd = [{"name": name, "optimizer": "sgd", "optimizer_settings": {"momentum": name == "b"}} for name in "abc"]
    >>> name_optimizers([{"name": "head", **adam}, *sgd])
    {'adam': {'beta_1': 0.9}, 'sgd in a and c': {'momentum': False}, 'sgd in b': {'momentum': True}}
    """
    trained = [phase for phase in phases if "optimizer_settings" in phase and not phase.get("solver")]
    found: dict[str, list[tuple[Mapping, list[str]]]] = {}
    for phase in trained:
        known = found.setdefault(phase["optimizer"], [])
        same = next((names for settings, names in known if settings == phase["optimizer_settings"]), None)
        if same is None:
            known.append((phase["optimizer_settings"], same := []))
        same.append(phase["name"])
    return {
        f"{name} in {join_names(names)}" if len(known) > 1 else name: settings
        for name, known in found.items()
        for settings, names in known
    }


_AVERAGES = {
    TOP3: "weights of the best epochs averaged, three at most, as far as validation does not get worse",
    EMA: f"moving average of the weights of all steps (decay {EMA_DECAY:g})",
}
_ADAPTERS = {
    LORA: "LoRA",
    SSF: "a scale and a shift for each channel (SSF)",
    BITFIT: "biases and shifts alone (BitFit)",
}
_SOLVERS = {"lbfgs": "L-BFGS"}
_SAID = {
    "rates": lambda value: "each block's rate measured, in proportion to gradient over weights" * (value == "auto-rgn"),
    "clip_norm": lambda value: f"gradients of a norm of {value:g} at most",
    "weight_decay": lambda value: f"weight decay {value:g}, not of biases and norms" if value else "no weight decay",
    "label_smoothing": lambda value: f"labels smoothed by {value:g}" if value else "",
    "mixup": lambda value: f"mixup with alpha {value:g}" if value else "",
    "l2_sp": lambda value: f"L2-SP of strength {value:g}" if value else "",
    "average": lambda value: _AVERAGES.get(value, ""),
}
