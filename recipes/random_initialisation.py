"""Random initialisation: the architecture alone, all weights new and all trained (Shin et al. 2016 compare this).

tlmed train random_initialisation --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="none",
    head=Dense(dropout=0.2),
    # Nothing pretrained can be damaged, so the rate is high, and BatchNorm learns its statistics as it goes. With
    # nothing to build on, training takes longer.
    phases=(Phase("all", thaw="all", epochs=60, learning_rate=1e-3, patience=15, batch_norm="update"),),
    keep="best",
    monitor="val_auc",
    seed=0,
)
