"""After Sabottke & Spieler 2020: how large must images be, for a frozen network and for a fine-tuned one?

tlmed sweep image_size --data my_images/ --out studies/pixels

Sabottke & Spieler (Radiology: Artificial Intelligence 2 (2020) e190015) trained on chest films of many sizes: what is
small, such as a nodule, needs more pixels than what is large. Time and memory grow with the number of pixels.
"""

from tlmed.recipe import Study

study = Study(
    recipes=("feature_extractor", "fine_tuning"),
    vary={"data.image_size": ((64, 64), (96, 96), (128, 128), (160, 160), (224, 224))},
    seeds=3,
    folds=5,
)
