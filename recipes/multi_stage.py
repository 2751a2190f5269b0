"""Multi-stage transfer: natural images, then a larger medical set, then the target (after Samala et al. 2018).

tlmed train multi_stage --data larger/ --out runs/larger --set keep=last
tlmed train multi_stage --data target/ --set weights=runs/larger
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    # Each stage is a run of this recipe. The second stage takes its weights from the run of the first (`runs/larger`
    # above). The first keeps its last phase, because the best one could be the phase that trained only the head: its
    # backbone would be unchanged. The head of each stage is new, because the classes may be others.
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
