"""After Davila et al. 2024: which of eight ways of fine-tuning is best, with each of three networks?

tlmed sweep davila_strategies --data my_images/ --out studies/strategies

Davila et al. (Image and Vision Computing 146 (2024) 105012) compared the head alone, all layers, layers that are thawed
step by step, penalties on weights, and measured learning rates, with ResNet-50, DenseNet-121 and VGG-19 on six sets.
These are the strategies of these kinds that tlmed has, which are not the paper's one by one: thawing from the input on,
and a penalty on the distance from the pretrained weights, are not among them.
"""

from tlmed.recipe import Dense, Images, Phase, Recipe, Study

decayed = Recipe(
    data=Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32),
    backbone="ResNet50",
    phases=(
        Phase("all", thaw="all", epochs=30, learning_rate=1e-4, patience=8, batch_norm="affine", weight_decay=0.05),
    ),
    head=Dense(dropout=0.2),
    name="weight_decay",
)

study = Study(
    recipes=(
        "feature_extractor",  # linear probing
        "fine_tuning",  # the head, then the last two blocks
        "fine_tuning_from_scratch",  # all layers
        "incremental",  # block by block, from the output on
        decayed,  # all layers, with a penalty on their weights
        "lp_ft",  # linear probing, then all layers
        "discriminative_rates",  # rates that fall towards the input
        "surgical",  # rates measured for each block (Auto-RGN)
    ),
    backbones=("ResNet50", "DenseNet121", "VGG19"),
    seeds=3,
    folds=5,
)
