"""Multi-stage transfer: natural images, then a larger medical set, then the target (after Samala et al. 2018).

tlmed train multi_stage --data larger/ --out runs/larger --set keep=last
tlmed train multi_stage --data target/ --set weights=runs/larger
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    # Each stage is this recipe again, its weights the run of the stage before it; that one keeps its last phase,
    # for the best could be the one that left the backbone alone. The head is always new: other data, other classes.
    weights="imagenet",
    head=Dense(dropout=0.2),
    phases=(
        Phase("head", thaw=0, epochs=20, learning_rate=1e-3, patience=6),
        Phase("all", thaw="all", epochs=30, learning_rate=5e-5, patience=8),
    ),
    keep="best",
    monitor="val_auc",
    seed=0,
)
