"""Discriminative learning rates: all blocks at once, each at a lower rate than the next one (Howard & Ruder 2018).

tlmed train discriminative_rates --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    phases=(
        # The new head is random and would send large gradients into pretrained layers, so it learns alone first.
        Phase("head", thaw=0, epochs=20, learning_rate=1e-3, patience=6),
        # `learning_rate` is that of the head. Each block has the rate of the next one divided by 2.6, as in the paper.
        # The first of five blocks has 1/119 of the head's rate.
        Phase("all", thaw="all", epochs=20, learning_rate=3e-4, patience=6, block_decay=1 / 2.6),
    ),
    keep="best",
    monitor="val_auc",
    seed=0,
)
