"""ViT probe: a frozen vision transformer that learned without labels, and a solved classifier (Oquab et al. 2024).

tlmed train vit_probe --data my_images/
"""

from tlmed.recipe import Dense, Images, Phase, Recipe

recipe = Recipe(
    # DINOv2 takes images of any size that is a multiple of its patch, 14 pixels; its position embeddings are
    # interpolated.
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    # A preset of keras-hub (extra `hub`), which downloads it once. A folder from Hugging Face, such as a medical
    # foundation model's: `backbone="hub:hf:my_folder/"`.
    backbone="hub:dinov2_small",
    weights="own",
    # What DINOv2 is probed with: the class token, and the mean of the patches beside it.
    head=Dense(pooling="class+avg", dropout=0.0),
    phases=(Phase("head", thaw=0, solver="lbfgs"),),
    keep="best",
    monitor="val_auc",
    seed=0,
)
