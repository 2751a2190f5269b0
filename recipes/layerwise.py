"""Layer-wise fine-tuning: one more weighted layer each time, from the top (after Zhang et al. 2016, who use CaffeNet).

tlmed train layerwise --data my_images/
"""

from tlmed.recipe import Degrees, Dense, Images, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    # Every degree starts from the pretrained weights with the trained head: one that followed another would have been
    # trained longer, and depth could not be told from time. That makes 33 phases for MobileNetV2, hence the patience.
    phases=Degrees(unit="layer", start="pretrained", epochs=10, learning_rate=1e-4, patience=3),
    keep="best",
    score_degrees=True,  # to see what each is worth; validation alone decides
    monitor="val_auc",
    seed=0,
)
