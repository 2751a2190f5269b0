"""Multi-label: a chest film may show several findings (after Rajpurkar et al. 2017, CheXNet, and Cohen et al. 2022).

tlmed train multi_label --data my_films.csv --set data.label_columns=edema,effusion
tlmed train multi_label --data my_films.csv --set data.label_column=findings
"""

from tlmed.recipe import Augment, Dense, Images, Phase, Recipe

recipe = Recipe(
    # 224 pixels and batches of 16: CheXNet. It validates on 10 %; here validation also gives each label a threshold.
    data=Images(
        "tfds:tlmed_phantoms/several_labels=True", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=16
    ),
    # A sigmoid for each label, and a label that is not known left out of the loss: TorchXRayVision (Cohen et al. 2022).
    task="multi-label",
    # CheXNet, and most networks of TorchXRayVision.
    backbone="DenseNet121",
    weights="imagenet",
    head=Dense(),
    # CheXNet mirrors films and TorchXRayVision turns them by up to 45 degrees. The preset turns them by up to 10 and
    # mirrors none, because the heart lies on the left.
    augment=Augment.preset("chest-x-ray"),
    # The loss of CheXNet for one finding, weighed by the share of the other value, here for each label. (Its loss for
    # 14 findings has no weights; TorchXRayVision weighs whole labels, frequent ones least.)
    class_weight="balanced",
    # CheXNet trains all layers with Adam at 1e-3, and at a tenth of it when validation no longer improves. Here the new
    # head alone has 1e-3. All layers begin at the tenth, which is the rate of CheXpert (Irvin et al. 2019).
    phases=(
        Phase("head", thaw=0, epochs=5, learning_rate=1e-3),
        Phase("all", thaw="all", epochs=20, learning_rate=1e-4, patience=5, batch_norm="affine"),
    ),
    keep="best",
    # The mean AUC over the labels, as TorchXRayVision; CheXNet takes the epoch with the lowest validation loss.
    monitor="val_auc",
    seed=0,
)
