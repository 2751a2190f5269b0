"""Feature extractor: the backbone stays frozen, a new classifier is trained on top (Kim et al. 2022).

tlmed train feature_extractor --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(),
    # "auto": the head is solved, which takes a second and no epochs. Where you ask for what only training can do (such
    # as dropout, a hidden layer, new augmentation in each epoch), it is trained, with these epochs and this rate.
    phases=(Phase("head", thaw=0, epochs=30, learning_rate=1e-3, patience=8, solver="auto"),),
    keep="best",
    monitor="val_auc",
    seed=0,
)
