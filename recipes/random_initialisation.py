"""Random initialisation: all weights are random at first, and all are trained (compared by Shin et al. 2016).

tlmed train random_initialisation --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="none",
    head=Dense(dropout=0.2),
    # There are no pretrained weights to damage, so the rate is high, and BatchNorm learns its statistics in training.
    # Starting from nothing needs more epochs.
    phases=(Phase("all", thaw="all", epochs=60, learning_rate=1e-3, patience=15, batch_norm="update"),),
    keep="best",
    monitor="val_auc",
    seed=0,
)
