"""Write the locks of the shipped recipes anew, small enough for CI; for a change that is meant to move a number.

    python locks/write.py [NAME ...]

Each recipe trains on phantoms, from weights that have learned something: random frozen features would lock nothing.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tlmed.quiet import import_tensorflow

import_tensorflow()

import tlmed  # noqa: E402
from tlmed.recipe import override, read_recipe, shipped_recipes  # noqa: E402

PHANTOMS = ("data.source=tfds:tlmed_phantoms/images=90,size=64,seed=1", "data.image_size=64,64", "data.batch_size=16")
# OpenVINO need not be installed where they are reproduced. Where many layers train, LeNet5 does: with MobileNetV2 other
# kernels (TF_ENABLE_ONEDNN_OPTS=0) moved a score by 0.15 in ten steps of Adam, with LeNet5 by 1e-6 at most.
SMALL = (*PHANTOMS, "engine=tensorflow")
EPOCHS = ("phases.epochs=2",)
LENET5 = ("backbone=LeNet5", "weights=digits", *EPOCHS)
SETTINGS = {
    "blockwise": LENET5,
    "cost_sensitive": EPOCHS,
    "discriminative_rates": LENET5,
    "feature_extractor": EPOCHS,
    "feature_extractor_hybrid": ("head.folds=3",),
    "fine_tuning": EPOCHS,
    "fine_tuning_from_scratch": LENET5,
    "incremental": LENET5,
    "layerwise": LENET5,
    "lp_ft": LENET5,
    # Steps of Adam would magnify what differs between kernels.
    "lora": ("phases.optimizer=sgd", *EPOCHS),
    "multi_label": ("data.source=tfds:tlmed_phantoms/images=90,size=64,seed=1,several_labels=True", *LENET5),
    "multi_stage": LENET5,
    "ordinal_grading": EPOCHS,
    "quickstart": EPOCHS,
    "random_initialisation": ("backbone=LeNet5", *EPOCHS),
    "surgical": LENET5,
    "two_backbones": ("backbone=MobileNetV2,LeNet5", "weights=imagenet,digits", *EPOCHS),
    "vit_probe": (*LENET5[:2], "head.pooling=avg"),
    "vgg16_blockwise": ("weights=bsds500", "data.image_size=32,32", "phases.epochs=1"),
}


def write(name: str, folder: Path) -> Path:
    """Train a shipped recipe, made small, and copy its lock into a folder."""
    file = read_recipe(name)
    recipe = override(file.recipe, [*SMALL, *SETTINGS[name]])
    with tempfile.TemporaryDirectory() as out:
        tlmed.train(recipe, Path(out) / name, recipe_file=file)
        return shutil.copyfile(Path(out) / name / "lock.json", folder / f"{name}.json")


if __name__ == "__main__":
    for each in sys.argv[1:] or shipped_recipes():
        print(write(each, Path(__file__).parent))
