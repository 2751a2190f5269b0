"""After Kim et al. 2022, table 1 and figure 2: which of five networks, by which of four approaches?

tlmed sweep kim_table1 --data my_images/ --out studies/kim

The review explains transfer learning by LeNet5, AlexNet, VGG16, GoogLeNet and ResNet50. Keras has ImageNet weights of
VGG16 and ResNet50 alone; where tlmed finds none, cells say so. `--backbones AlexNet=alexnet.weights.h5` names a file.
"""

from tlmed.recipe import Study

study = Study(
    recipes=("feature_extractor", "feature_extractor_hybrid", "fine_tuning", "fine_tuning_from_scratch"),
    backbones=("LeNet5", "AlexNet", "VGG16", "GoogLeNet", "ResNet50"),
    seeds=3,
    folds=5,
)
