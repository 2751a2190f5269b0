"""Heads: what turns a backbone's features into class probabilities.

`dense` is the Keras head. `hybrid` fits a scikit-learn classifier instead: `classifiers` finds and checks it,
`pipelines` puts scaler and components before it, `fold_division` divides the training images, `skops_files` saves the
result. These are imported where they are used, so that a run without them does not load them.
"""

import tlmed.tensorflow_start

from tlmed.heads.dense import attach_head, split_head

__all__ = ["attach_head", "split_head"]
