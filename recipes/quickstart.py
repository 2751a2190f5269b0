"""Quickstart: a frozen, pretrained backbone learns synthetic breast ultrasound in a minute or two.

tlmed train quickstart
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(128, 128), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    phases=(Phase("head", thaw=0, epochs=10, learning_rate=3e-3),),
    keep="best",
    monitor="val_auc",
    seed=0,
    baselines=True,  # also score the same network with random weights: did transfer learning help?
)
