"""Surgical fine-tuning: each block learns the faster, the larger its gradient is beside its weights (Lee et al. 2023).

tlmed train surgical --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(),
    phases=(
        # With a random head, gradients would tell how wrong the head is, and not which blocks do not fit the images.
        Phase("head", thaw=0, solver="lbfgs"),
        # Auto-RGN: `learning_rate` is that of the block with the largest ratio; `plan.json` of the run has all rates.
        Phase(
            "all",
            thaw="all",
            epochs=16,
            learning_rate=1e-3,
            batch_norm="affine",
            rates="auto-rgn",
            schedule="cosine",
            warmup=0.1,
            label_smoothing=0.1,
            average="top3",
        ),
    ),
    keep="best",
    monitor="val_auc",
    seed=0,
)
