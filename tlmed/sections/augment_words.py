"""What an `Augment` does, in words."""

from collections.abc import Mapping

from tlmed.sections.augment_presets import PRESETS, preset_values

_MIRRORED = {
    "none": "never mirrored",
    "horizontal": "mirrored left to right",
    "vertical": "mirrored top to bottom",
    "both": "mirrored along both axes",
}


def say_augmentation(fields: Mapping) -> str:
    """Return which preset augmentation comes from and what it does at most; "" where it is off.

    Args:
        fields: Those of an `Augment`; what an older run does not know is off.

    >>> say_augmentation({"flip": "horizontal", "rotation": 0.1, "zoom": 0.0})
    'mirrored left to right, rotated by 36 degrees'
    >>> say_augmentation({**preset_values("histology"), "blur": 0.0, "from_preset": "histology"})
    'preset histology with another blur: mirrored along both axes, rotated by 180 degrees, stains changed by 5 %'
    """
    done = [say(fields[name]) for name, say in _SAID.items() if fields.get(name)]
    preset, flip = fields.get("from_preset"), fields.get("flip", "none")
    if not done and flip == "none":
        return ""
    # That images are not mirrored is told only of a preset, which says so on purpose.
    mirrored = [_MIRRORED[flip]] if preset or flip != "none" else []
    views = fields.get("views")
    kept = f"; {views} versions of each image take turns" if views else ""
    return f"{_name_preset(preset, fields)}{', '.join([*mirrored, *done])}{kept}"


def _name_preset(preset, fields) -> str:
    if preset not in PRESETS:
        return ""
    values = dict.fromkeys(_SAID, 0) | {"flip": "none"} | preset_values(preset)
    changed = [name for name in values if name in fields and fields[name] != values[name]]
    return f"preset {preset}{' with another ' if changed else ''}{', '.join(changed)}: "


def _round(value) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


_SAID = {
    "rotation": lambda value: f"rotated by {_round(value * 360)} degrees",
    # Keras's RandomZoom changes how much of each side is shown by this fraction.
    "zoom": lambda value: f"shown {1 / (1 + value):.2f} to {1 / (1 - value):.2f} times as large",
    "contrast": lambda value: f"contrast changed by {_round(value * 100)} %",
    "brightness": lambda value: f"brightness changed by {_round(value * 255)} of 255",
    "gamma": lambda value: f"exponents from {1 / (1 + value):.2g} to {1 + value:.2g}",
    "stain": lambda value: f"stains changed by {_round(value * 100)} %",
    "blur": lambda value: f"blurred by {value:.3g} pixels",
    "speckle": lambda value: f"speckle of {_round(value * 255)} of 255",
    "noise": lambda value: f"noise of {_round(value * 255)} of 255",
}
