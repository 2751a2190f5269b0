"""The approaches whose scores the table of experience holds, in their shipped settings but for ten epochs at most.

    tlmed sweep benchmarks/experience_study.py --data LIST --out DIR --folds 4 --seeds 1 --set data.image_size=64,64
    python benchmarks/experience.py --study DIR --set NAME --modality x-ray

LIST names no splits. In folds each image is tested once, so that no approach is judged by a part of the images alone.
The shipped table has nih-cxr-64 and breastmnist so, with MobileNetV2 and MobileNet:0.25 (`--backbones`), and
hippocampus-nifti at 96 pixels with `--set data.channels=views --set data.window=0.5,99.5,file --set data.spacing=0.5`.
VGG16=bsds500 at 48 pixels, and MobileNet:0.25 on the last set, have the probe alone: `EXPERIENCE_OF=feature_extractor`
before the command.
"""

import os
from dataclasses import replace

import tlmed
from tlmed.recipe import Study

EPOCHS = 10


def shorten(name: str):
    """Return a shipped recipe whose phases that train a network have ten epochs; heads keep theirs."""
    recipe = tlmed.load_recipe(name)
    phases = recipe.phases
    if not isinstance(phases, tuple):
        return replace(recipe, phases=replace(phases, epochs=EPOCHS), examples=0, name=name)
    shorter = tuple(phase if phase.thaw == 0 else replace(phase, epochs=EPOCHS) for phase in phases)
    return replace(recipe, phases=shorter, examples=0, name=name)


def thaw_one(name: str):
    """Return fine-tuning that stops at one block less than the shipped recipe."""
    recipe = shorten("fine_tuning")
    head, top = recipe.phases
    return replace(recipe, phases=(head, replace(top, thaw=1)), name=name)


RECIPES = {
    **{
        name: shorten(name) for name in ("feature_extractor", "fine_tuning", "incremental", "lora", "lp_ft", "surgical")
    },
    "thaw1": thaw_one("thaw1"),
}
CHOSEN = os.environ.get("EXPERIENCE_OF", ",".join(RECIPES)).split(",")
study = Study(recipes=tuple(RECIPES[name] for name in CHOSEN), backbones=("MobileNetV2",), seeds=1)
