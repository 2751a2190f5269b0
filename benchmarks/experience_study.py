"""The approaches whose scores the table of experience holds, in their shipped settings but for ten epochs at most.

    tlmed sweep benchmarks/experience_study.py --data LIST --out DIR --folds 4 --seeds 1 --set data.image_size=64,64
    python benchmarks/experience.py --study DIR --set NAME --modality x-ray

LIST names no splits. In folds each image is tested once, so that no approach is judged by a part of the images alone.
The shipped table has MobileNetV2 and MobileNet:0.25 with these approaches, and VGG16=bsds500 at 48 pixels with three of
them, as `EXPERIENCE_OF=feature_extractor,fine_tuning,lp_ft` before the command chooses them.
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
    **{name: shorten(name) for name in ("feature_extractor", "fine_tuning", "incremental", "lora", "lp_ft")},
    "thaw1": thaw_one("thaw1"),
}
CHOSEN = os.environ.get("EXPERIENCE_OF", ",".join(RECIPES)).split(",")
study = Study(recipes=tuple(RECIPES[name] for name in CHOSEN), backbones=("MobileNetV2",), seeds=1)
