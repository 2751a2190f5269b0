"""Cost-sensitive: a missed malignant finding counts as ten false alarms, when a class is predicted (after Elkan 2001).

tlmed train cost_sensitive --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(),
    # "auto": the head is solved. Where you ask for what only training can do, it is trained, with these epochs.
    phases=(Phase("head", thaw=0, epochs=30, learning_rate=1e-3, patience=8, solver="auto"),),
    # True class, predicted class, cost; other errors cost 1. For your own classes: --set 'costs={"ill": {"well": 10}}'.
    costs={"malignant": {"benign": 10.0, "normal": 10.0}},
    keep="best",
    # Decisions by expected cost need good probabilities, and log loss is what measures them.
    monitor="val_loss",
    seed=0,
)
