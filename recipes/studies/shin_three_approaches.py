"""After Shin et al. 2016: do pretrained weights help, and is it enough to use them frozen?

tlmed sweep shin_three_approaches --data my_ct/ --out studies/shin

Shin et al. (IEEE Transactions on Medical Imaging 35 (2016) 1285) compared networks off the shelf, trained from ImageNet
and trained from random weights, on lymph nodes and on interstitial lung disease, the latter in five folds.

Keras has no ImageNet weights of these networks: where tlmed finds none, cells say so, and those from random weights are
trained. `--backbones VGG16,ResNet50` asks the same of networks whose weights it finds.
"""

from tlmed.recipe import Study

study = Study(
    recipes=("feature_extractor", "fine_tuning_from_scratch", "random_initialisation"),
    backbones=("CifarNet", "AlexNet", "GoogLeNet"),
    seeds=3,
    folds=5,
)
