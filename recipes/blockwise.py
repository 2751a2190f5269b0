"""Block-wise fine-tuning: how deep pays off, block by block, for any backbone (after Kandel & Castelli 2020).

tlmed train blockwise --data my_images/
"""

from tlmed.recipe import Degrees, Dense, Images, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    # The degrees are compared with one another, so each starts from the pretrained weights with the trained head, at
    # the same rate: they differ in depth alone. `degrees.csv` holds the comparison.
    phases=Degrees(unit="block", start="pretrained", epochs=20, learning_rate=1e-4, patience=6),
    keep="best",
    score_degrees=True,  # to see what each is worth; validation alone decides
    monitor="val_auc",
    seed=0,
)
