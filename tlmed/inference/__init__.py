"""Score images with a trained network: those of a run, another data set, or loose files.

`panel` says what answers and `unit_answers` what it answers, from scores; neither needs TensorFlow. `scorer` and
`panel_networks` load networks. `rescoring` and `loose_images` are the commands `evaluate` and `predict`.
"""

import importlib

# Where each public name lives. They are imported when first used: whoever needs `panel` alone loads no TensorFlow.
_HOMES = {
    "Answered": "loose_images",
    "Pictures": "explained_images",
    "answer": "loose_images",
    "check_evaluation_folder": "evaluation_files",
    "evaluate": "rescoring",
    "load_scorer": "scorer",
    "make_samples": "scorer",
    "predict": "loose_images",
    "write_evaluation": "evaluation_files",
}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'tlmed.inference' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tlmed.inference.{_HOMES[name]}"), name)
