import gc
import weakref

import tensorflow as tf
from tensorflow.python.framework import ops

from tlmed.studies.cell_worker import forget_gradients


def test_graphs_of_trainings_that_have_ended_are_forgotten_and_other_gradients_are_not():
    @tf.custom_gradient
    def double(x):
        return 2 * x, lambda upstream: 2 * upstream

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = double(x)
        return tape.gradient(y, x)

    assert float(step(tf.constant(3.0))) == 2.0
    graph = weakref.ref(step.get_concrete_function(tf.TensorSpec((), tf.float32)).graph)
    others = [name for name in ops.gradient_registry.list() if not name.startswith("CustomGradient-")]
    del step
    gc.collect()
    assert graph() is not None
    forget_gradients()
    gc.collect()
    assert graph() is None
    assert [name for name in ops.gradient_registry.list() if name.startswith("CustomGradient-")] == []
    assert others == list(ops.gradient_registry.list())
    assert "MatMul" in others
