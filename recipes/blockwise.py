"""Block-wise fine-tuning: compares how many blocks are worth training (after Kandel & Castelli 2020).

tlmed train blockwise --data my_images/
"""

from tlmed.recipe import Degrees, Dense, Images, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    # A degree is a number of thawed blocks. Each one starts from the pretrained weights with the trained head, at the
    # same rate, so that they differ only in depth. The run's `degrees.csv` compares them.
    phases=Degrees(unit="block", start="pretrained", epochs=20, learning_rate=1e-4, patience=6),
    keep="best",
    score_degrees=True,  # score each degree on the test images, too; validation alone decides which one is kept
    monitor="val_auc",
    seed=0,
)
