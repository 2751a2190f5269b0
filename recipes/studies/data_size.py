"""After Kim et al. 2022, figure 6: how does the score of each approach grow with the number of training images?

tlmed sweep data_size --data my_images/ --out studies/size

Figure 6 of the review sets the scores of published studies against their numbers of images, and finds no rule: they
differ in everything else, too. Here only the number of training images differs; val and test images stay the same.
"""

from tlmed.recipe import Study

study = Study(
    recipes=("feature_extractor", "fine_tuning", "fine_tuning_from_scratch", "random_initialisation"),
    vary={"data.train_share": (0.05, 0.1, 0.25, 0.5, 1.0)},
    seeds=3,
    folds=5,
)
