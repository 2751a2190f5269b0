"""After Rahaman et al. 2020: which of fifteen pretrained networks gives the best features of X-rays?

tlmed sweep rahaman_15_backbones --data my_xrays/ --out studies/backbones

Rahaman et al. (Journal of X-Ray Science and Technology 28 (2020) 821) froze fifteen networks of `keras.applications`,
trained a new classifier on 860 chest films of three classes, and found VGG19 the best, in one division of the images.
"""

from tlmed.recipe import Study

study = Study(
    recipes=("feature_extractor",),
    # We could not compare this list with the table of the paper: which of the small networks it had (here MobileNetV2)
    # and the order are as we know them from elsewhere.
    backbones=(
        *("VGG16", "VGG19"),
        *("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"),
        *("InceptionV3", "InceptionResNetV2", "Xception"),
        *("DenseNet121", "DenseNet169", "DenseNet201", "MobileNetV2"),
    ),
    # The head is solved, so that a seed has nothing to decide: folds alone show how far chance goes.
    seeds=1,
    folds=5,
)
