"""VGG16, thawed one block at a time; the phase with the best validation score is kept (Lee et al. 2020, chest X-rays).

tlmed train vgg16_blockwise --data my_xrays/
tlmed train vgg16_blockwise --data my_xrays/ --set backbone=VGG19
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="VGG16",
    weights="imagenet",
    head=Dense(dropout=0.5),
    # Each phase thaws one more block, beginning at the output, at a lower rate or the same. It continues from the phase
    # before, so the deeper phases, whose epochs take longer, need fewer epochs.
    phases=(
        Phase("head", thaw=0, epochs=20, learning_rate=1e-3),
        Phase("block5", thaw=1, epochs=8, learning_rate=1e-4),
        Phase("block4", thaw=2, epochs=4, learning_rate=3e-5),
        Phase("block3", thaw=3, epochs=3, learning_rate=1e-5),
        Phase("block2", thaw=4, epochs=2, learning_rate=1e-5),
        Phase("block1", thaw=5, epochs=2, learning_rate=1e-5),
    ),
    keep="best",  # the phase with the best validation score is the result
    score_degrees=True,  # score each phase on the test images, too; validation alone decides which one is kept
    monitor="val_auc",
    seed=0,
)
