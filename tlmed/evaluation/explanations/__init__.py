"""Explanations: where in an image the evidence for a class lies, as far as the network is concerned.

`networks` cuts a saved network, `gradients`, `occlusions` and `rollouts` make maps, `methods` chooses between them by
name, `cases` picks the images worth a look, `pictures` draws, `centres` covers the centre of images or all around it.
All take raw images (uint8 RGB at the network's size) and the network of a run, as Keras loads it.
"""

import tlmed.tensorflow_start

from tlmed.evaluation.explanations.cases import (
    Case,
    choose_labels,
    list_cases,
    pick_cases,
    pick_label_cases,
)
from tlmed.evaluation.explanations.gradients import attribute_pixels, grad_cam, grad_cam_plus_plus, integrated_gradients
from tlmed.evaluation.explanations.label_pictures import name_pictures, save_label_explanations
from tlmed.evaluation.explanations.methods import METHODS, Explainer, explain_images, make_explainer
from tlmed.evaluation.explanations.occlusions import measure_drops, occlusion
from tlmed.evaluation.explanations.pictures import (
    Place,
    draw_panel,
    name_in,
    name_labels,
    open_folder,
    overlay,
    save_explanations,
    write_explanations,
)
from tlmed.evaluation.explanations.rollouts import attention_rollout

__all__ = [
    "METHODS",
    "Case",
    "Explainer",
    "Place",
    "attention_rollout",
    "attribute_pixels",
    "choose_labels",
    "draw_panel",
    "explain_images",
    "grad_cam",
    "grad_cam_plus_plus",
    "integrated_gradients",
    "list_cases",
    "make_explainer",
    "measure_drops",
    "name_in",
    "name_labels",
    "name_pictures",
    "occlusion",
    "open_folder",
    "overlay",
    "pick_cases",
    "pick_label_cases",
    "save_explanations",
    "save_label_explanations",
    "write_explanations",
]
