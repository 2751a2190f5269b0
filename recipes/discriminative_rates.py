"""Discriminative learning rates: all blocks at once, each slower than the one after it (Howard & Ruder 2018).

tlmed train discriminative_rates --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    phases=(
        # A random head would send large gradients into pretrained layers, so it learns alone first.
        Phase("head", thaw=0, epochs=20, learning_rate=1e-3, patience=6),
        # The rate is the head's; 2.6 is the paper's divisor. Five blocks down, that leaves 1/119 for the input.
        Phase("all", thaw="all", epochs=20, learning_rate=3e-4, patience=6, block_decay=1 / 2.6),
    ),
    keep="best",
    monitor="val_auc",
    seed=0,
)
