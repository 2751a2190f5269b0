"""Start TensorFlow without noise; every module that needs Keras imports this first, as it may be the first of all."""

from tlmed.quiet import import_tensorflow

import_tensorflow()
