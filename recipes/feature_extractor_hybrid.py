"""Feature extractor hybrid: a classical learner on the features of a frozen backbone (Kim et al. 2022, fig. 2a).

tlmed train feature_extractor_hybrid --data my_images/
tlmed train feature_extractor_hybrid --data my_images/ --set head.classifier=RandomForestClassifier
"""

from tlmed.recipe import Hybrid, Images, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    # Its parameters are chosen by cross-validation inside the training images; validation images have no part in it.
    head=Hybrid(classifier="SVC", scale=True, folds=5, tap="last", pooling="avg"),
    monitor="val_auc",
    seed=0,
)
