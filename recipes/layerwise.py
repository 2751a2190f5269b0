"""Layer-wise fine-tuning: one more layer with weights each time, beginning at the output (after Zhang et al. 2016).

tlmed train layerwise --data my_images/
"""

from tlmed.recipe import Degrees, Dense, Images, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    # Each degree starts from the pretrained weights with the trained head. If it continued from the degree before, it
    # would be trained longer, and the effect of depth would be mixed with that of time. MobileNetV2 has 33 phases, so
    # `patience` is short. (The study used CaffeNet.)
    phases=Degrees(unit="layer", start="pretrained", epochs=10, learning_rate=1e-4, patience=3),
    keep="best",
    score_degrees=True,  # score each degree on the test images, too; validation alone decides which one is kept
    monitor="val_auc",
    seed=0,
)
