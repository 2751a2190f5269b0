"""Heads: what turns a backbone's features into class probabilities.

`dense` is the Keras head, `hybrid` the scikit-learn classifiers, `skops_files` how those are saved. The latter two are
imported where they are used, so that a run without them does not load scikit-learn.
"""

from tlmed.heads.dense import POOLING_LAYERS, attach_head, augmentation

__all__ = ["POOLING_LAYERS", "attach_head", "augmentation"]
