"""Transfer learning for medical image classification, in Keras 3 on TensorFlow."""

import importlib

from tlmed.late_names import import_late

__version__ = "0.1.0"

# Where each public name lives. They are imported when first used: `import tlmed` loads no TensorFlow.
_HOMES = {
    "BACKBONES": "tlmed.backbones",
    "FeatureExtractor": "tlmed.features.extractor",
    "advise": "tlmed.advising.advice",
    "check": "tlmed.inspection",
    "load_recipe": "tlmed.recipe",
    "sweep": "tlmed.sweeps",
    "train": "tlmed.run",
}
_MODULES = (
    *("backbones", "blocks", "certificate", "data", "evaluation", "features", "heads", "metrics", "phases", "plan"),
    *("recipe", "training"),
)
_WITHOUT_KERAS = ("load_recipe", "metrics", "recipe", "sweep")
__all__ = sorted(_HOMES)
_find = import_late(__name__, _HOMES)


def __getattr__(name):
    if (name in _MODULES or name in _HOMES) and name not in _WITHOUT_KERAS:
        importlib.import_module("tlmed.quiet").import_tensorflow()
    return importlib.import_module(f"tlmed.{name}") if name in _MODULES else _find(name)


def __dir__():
    return sorted([*globals(), *_HOMES, *_MODULES])
