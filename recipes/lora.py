"""LoRA: frozen kernels, each with a product of two thin matrices beside it that is trained (Hu et al. 2022).

tlmed train lora --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    # Its 1x1 convolutions are adapted; of a vision transformer (`backbone="hub:..."`), the kernels of attention and of
    # its dense layers.
    backbone="MobileNetV2",
    weights="imagenet",
    head=Dense(dropout=0.2),
    phases=(
        # The new head is random and would send large gradients into pretrained layers, so it learns alone first.
        Phase("head", thaw=0, epochs=20, learning_rate=1e-3, patience=6),
        # A higher rate than that of fine-tuning, because the matrices begin at nothing: their product is 0 at first.
        Phase("lora", thaw="all", epochs=20, learning_rate=1e-3, patience=6, adapt="lora", rank=8),
    ),
    keep="best",
    monitor="val_auc",
    seed=0,
)
