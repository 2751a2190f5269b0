"""Score images with a trained network: those of a run, another data set, or loose files.

`panel` says what answers and `unit_answers` what it answers, from scores; neither needs TensorFlow. `scorer` and
`panel_networks` load networks. `rescoring` and `loose_images` are the commands `evaluate` and `predict`.
"""

from tlmed.late_names import import_late

# Where each public name lives. They are imported when first used: whoever needs `panel` alone loads no TensorFlow.
_HOMES = {
    "Answered": "tlmed.inference.loose_images",
    "Pictures": "tlmed.inference.explained_images",
    "answer": "tlmed.inference.loose_images",
    "check_evaluation_folder": "tlmed.inference.evaluation_files",
    "evaluate": "tlmed.inference.rescoring",
    "load_scorer": "tlmed.inference.scorer",
    "make_samples": "tlmed.inference.scorer",
    "predict": "tlmed.inference.loose_images",
    "write_evaluation": "tlmed.inference.evaluation_files",
}
__all__ = sorted(_HOMES)
__getattr__ = import_late(__name__, _HOMES)
