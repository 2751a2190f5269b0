"""Ordinal grading: grades on frozen features, where near misses count less than far ones (Diaz & Marathe 2019).

tlmed train ordinal_grading --data my_knees/ --set data.order=0,1,2,3,4
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    # The order is that of the phantoms: state your own, from the lowest grade to the highest.
    data=Images(
        "tfds:tlmed_phantoms",
        image_size=(224, 224),
        split=(0.70, 0.15, 0.15),
        batch_size=32,
        order=("normal", "benign", "malignant"),
    ),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2, ordinal="soft-labels"),
    phases=(Phase("head", thaw=0, epochs=100, learning_rate=1e-3, patience=20),),
    keep="best",
    monitor="val_loss",
    seed=0,
)
