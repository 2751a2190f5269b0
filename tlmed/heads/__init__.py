"""Heads: what turns a backbone's features into class probabilities.

`dense` is the Keras head. `hybrid` fits a scikit-learn classifier instead: `classifiers` finds and checks it,
`pipelines` puts scaler and components before it, `fold_division` divides the training images, `skops_files` saves the
result. Each is imported where it is used: a run without a classifier loads no scikit-learn, and a classifier that is
only asked loads no TensorFlow.
"""
