"""Incremental fine-tuning: a feature extractor first, then block by block as long as it helps (Kim et al. 2022).

tlmed train incremental --data my_images/
"""

from tlmed.recipe import Degrees, Dense, Images, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    # Each degree thaws one more block and continues from the degree before, at half its rate (`falloff`): layers closer
    # to the input are more general and should change less. The last degree trains all layers.
    phases=Degrees(unit="block", start="previous", epochs=20, learning_rate=1e-4, falloff=0.5, patience=6),
    phase_patience=1,  # stop after the first block that does not improve the validation score
    keep="best",
    monitor="val_auc",
    seed=0,
)
