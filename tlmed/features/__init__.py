"""Features: what a network knows of an image, pooled to one vector.

`taps` makes the models that give them; `extractor` is the scikit-learn transformer, `tlmed.FeatureExtractor`. It is
imported where it is used.
"""

import tlmed.tensorflow_start

from tlmed.features.taps import POOLINGS, feature_model, pool, random_norms

__all__ = ["POOLINGS", "feature_model", "pool", "random_norms"]
