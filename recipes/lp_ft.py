"""LP-FT, linear probing then fine-tuning: the head is solved, then all layers are trained with it (Kumar et al. 2022).

tlmed train lp_ft --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(),
    phases=(
        # A converged head sends small gradients into the pretrained layers, so that these keep what they know.
        Phase("head", thaw=0, solver="lbfgs"),
        # The head fits its images well by now; without smoothed labels the network soon becomes too sure.
        Phase(
            "all",
            thaw="all",
            epochs=16,
            learning_rate=3e-4,
            batch_norm="affine",
            block_decay=0.9,
            schedule="cosine",
            warmup=0.1,
            clip_norm=1.0,
            label_smoothing=0.1,
            average="top3",
        ),
    ),
    keep="best",
    monitor="val_auc",
    seed=0,
)
