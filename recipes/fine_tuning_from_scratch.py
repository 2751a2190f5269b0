"""Fine-tuning from scratch: all layers are updated, starting from the pretrained weights (Kim et al. 2022).

tlmed train fine_tuning_from_scratch --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    # "affine": BatchNorm's scale and shift are trained like other weights; its statistics stay those of pretraining.
    phases=(Phase("all", thaw="all", epochs=30, learning_rate=1e-4, patience=8, batch_norm="affine"),),
    keep="best",
    monitor="val_auc",
    seed=0,
)
