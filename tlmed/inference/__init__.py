"""Score images with a trained network: those of a run, another data set, or loose files."""

import tlmed.tensorflow_start

from tlmed.inference.evaluation_files import check_evaluation_folder, write_evaluation
from tlmed.inference.explained_images import Pictures
from tlmed.inference.loose_images import Answered, answer, predict
from tlmed.inference.rescoring import evaluate
from tlmed.inference.scorer import Scorer, load_model, load_scorer, make_samples

__all__ = [
    "Answered",
    "Pictures",
    "Scorer",
    "answer",
    "check_evaluation_folder",
    "evaluate",
    "load_model",
    "load_scorer",
    "make_samples",
    "predict",
    "write_evaluation",
]
