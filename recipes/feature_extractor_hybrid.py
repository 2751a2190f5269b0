"""Feature extractor hybrid: a classical classifier on the features of a frozen backbone (Kim et al. 2022, fig. 2a).

tlmed train feature_extractor_hybrid --data my_images/
tlmed train feature_extractor_hybrid --data my_images/ --set head.classifier=RandomForestClassifier
"""

from tlmed.recipe import Hybrid, Images, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    # The classifier's parameters are chosen by cross-validation inside the training images, without the validation
    # images. `tap` is the block whose output is averaged (`pooling`) to give the features.
    head=Hybrid(classifier="SVC", scale=True, folds=5, tap="last", pooling="avg"),
    monitor="val_auc",
    seed=0,
)
