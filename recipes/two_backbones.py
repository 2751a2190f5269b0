"""Two backbones: their features side by side, one head on top, then fine-tuning (after Trinh & Nguyen 2021).

tlmed train two_backbones --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    # Each of the two networks has its own preprocessing.
    backbone=("DenseNet121", "ResNet101"),
    weights="imagenet",
    head=Dense(dropout=0.5),
    phases=(
        Phase("head", thaw=0, epochs=20, learning_rate=1e-3, patience=6),
        # The last block of each network. Two large networks can easily learn a small set of images by heart, so the
        # rate is lower than for one network.
        Phase("top", thaw=1, epochs=20, learning_rate=3e-5, patience=6),
    ),
    keep="best",
    monitor="val_auc",
    seed=0,
)
