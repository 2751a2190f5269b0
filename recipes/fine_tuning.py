"""Fine-tuning: first the new head, then the last two blocks with it, at a lower rate (Kim et al. 2022).

tlmed train fine_tuning --data my_images/
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
        Phase("top", thaw=2, epochs=20, learning_rate=1e-4, patience=6),
    ),
    keep="best",
    monitor="val_auc",
    seed=0,
)
