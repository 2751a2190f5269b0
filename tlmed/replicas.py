"""Replicas: how many devices and machines train together, and the state that each of them holds."""

import tlmed.tensorflow_start

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled

from tlmed import stopping
from tlmed.cluster.server import start_server
from tlmed.errors import InputError


def grow_memory() -> None:
    """Let TensorFlow take a GPU's memory as it needs it, instead of all of it at once."""
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # the GPUs are in use already; then the user's own setting stays
            return


def choose_jit() -> bool | str:
    """Return `jit_compile` for Keras: no XLA where operations are deterministic, else Keras's choice, "auto".

    "auto" means XLA on a single GPU, which refuses some gradients if they must be deterministic. The choice is made
    here because Keras decides when a model is compiled, and determinism may be asked for later.
    """
    return False if is_op_determinism_enabled() else "auto"


def without_xla(model: keras.Model) -> keras.Model:
    """Return a model that is not compiled, for `predict` without XLA where operations are deterministic."""
    if is_op_determinism_enabled():
        model.jit_compile = False
    return model


def device_class() -> str:
    """Return what networks are trained on in this process: "GPU" where TensorFlow sees one, else "CPU"."""
    return "GPU" if tf.config.get_visible_devices("GPU") else "CPU"


def choose_strategy(
    wanted: str, workers: int, batch_size: int, warn: Callable[[str], None] = lambda line: None
) -> tf.distribute.Strategy:
    """Return the strategy that a run trains under.

    In a process that is one of several workers, nothing else of TensorFlow may run before it.

    Args:
        wanted: "auto", "one", "mirrored" or "multi-worker"; "auto" takes all devices and workers that there are.
        workers: How many processes the run has.
        batch_size: Images per step, of all replicas together.
        warn: Takes a line of what a user should know.

    Raises:
        InputError: If there is not what is wanted, or a replica would get no image.
    """
    name = _resolve(wanted, workers)
    if name == "one":
        return tf.distribute.get_strategy()
    strategy = start_server(warn) if name == "multi-worker" else _mirror()
    _check_batch(strategy, batch_size)
    return strategy


def _check_batch(strategy, batch_size) -> None:
    if batch_size < strategy.num_replicas_in_sync:
        raise InputError(
            f"`data.batch_size` must be the number of replicas ({strategy.num_replicas_in_sync}) or more. "
            f"Received: data.batch_size={batch_size}."
        )


def _resolve(wanted, workers) -> str:
    if wanted == "auto":
        gpus = len(tf.config.list_physical_devices("GPU"))
        return "multi-worker" if workers > 1 else "mirrored" if gpus > 1 else "one"
    if (wanted == "multi-worker") != (workers > 1):
        there = (
            f"{workers} workers" if workers > 1 else "no other worker (`tlmed launch`, TF_CONFIG or Slurm name them)"
        )
        right = "'multi-worker' or 'auto'" if workers > 1 else "'one', 'mirrored' or 'auto'"
        raise InputError(f"`--strategy` must be {right} with {there}. Received: strategy={wanted!r}.")
    return wanted


def _mirror() -> tf.distribute.Strategy:
    gpus = len(tf.config.list_physical_devices("GPU"))
    if gpus > 1:
        return tf.distribute.MirroredStrategy()
    cpus = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices("CPU")]
    if len(cpus) > 1:
        return tf.distribute.MirroredStrategy(cpus)
    raise InputError(
        "`--strategy mirrored` must have two GPUs or more (or logical devices, made with "
        f"tf.config.set_logical_device_configuration). Received: {gpus} GPUs."
    )


def describe_strategy(workers: Sequence[str] = ()) -> dict:
    """Return, for `environment.json`, what trains together.

    Args:
        workers: Addresses, where there are several processes.

    >>> describe_strategy()["replicas"]
    1
    """
    strategy = tf.distribute.get_strategy()
    name = "multi-worker" if len(workers) > 1 else "one" if replicas() == 1 else "mirrored"
    return {
        "name": name,
        "replicas": replicas(),
        "devices": list(strategy.extended.worker_devices) if name != "one" else [_only_device()],
        "workers": list(workers),
    }


def _only_device() -> str:
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    return tf.config.list_logical_devices(kind)[0].name


def replicas() -> int:
    """Return how many replicas the strategy in scope has."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def workers() -> tuple[int, int]:
    """Return the number of this process, and how many processes the strategy in scope has."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    if resolver is None or not resolver.task_type:
        return 0, 1
    members = resolver.cluster_spec().as_dict()
    chiefs = len(members.get("chief", ()))
    number = resolver.task_id + (chiefs if resolver.task_type != "chief" else 0)
    return number, sum(len(addresses) for addresses in members.values())


def all_agree(yes: bool) -> bool:
    """Tell whether every process says yes; all of them must ask."""
    if workers()[1] == 1:
        return yes
    strategy = tf.distribute.get_strategy()
    say = strategy.experimental_distribute_values_from_function(lambda context: tf.constant(float(yes)))
    return float(strategy.reduce(tf.distribute.ReduceOp.SUM, say, axis=None)) == replicas()


def share_from_first(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the arrays of the first process in every process; all of them must ask, with arrays of the same shapes.

    Args:
        arrays: float32.
    """
    if workers()[1] == 1:
        return [*arrays]
    strategy, found = tf.distribute.get_strategy(), []
    for array in arrays:

        def give(context, array=array) -> tf.Tensor:
            return tf.constant(array if context.replica_id_in_sync_group == 0 else np.zeros_like(array))

        # Zeros from all others: their sum is the first one's array to the bit.
        given = strategy.experimental_distribute_values_from_function(give)
        found.append(strategy.reduce(tf.distribute.ReduceOp.SUM, given, axis=None).numpy())
    return found


def read_each(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Return each replica's values, [replicas, ...] for each variable; every process gets all of them."""
    if replicas() == 1:
        return [np.array(variable)[None] for variable in variables]
    strategy = tf.distribute.get_strategy()

    def read():
        context = tf.distribute.get_replica_context()
        return [context.all_gather(_widen(variable.value)[None], axis=0) for variable in variables]

    found = tf.function(lambda: strategy.run(read))()
    dtypes = [np.dtype(variable.dtype) for variable in variables]
    return [
        strategy.experimental_local_results(values)[0].numpy().astype(dtype)
        for values, dtype in zip(found, dtypes, strict=True)
    ]


def _widen(value: tf.Tensor) -> tf.Tensor:
    # Collective operations support these types only.
    return tf.cast(value, tf.float32 if value.dtype.is_floating else tf.int64)


def assign_each(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Give each replica its own values back.

    Args:
        variables: Such as the states of dropout and augmentation, and of metrics.
        values: [replicas, ...] for each.
    """
    if replicas() == 1:
        for variable, rows in zip(variables, values, strict=True):
            variable.assign(rows[0])
        return
    strategy = tf.distribute.get_strategy()

    def assign():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        for variable, rows in zip(variables, values, strict=True):
            variable.value.assign(tf.gather(tf.constant(rows), number))

    tf.function(lambda: strategy.run(assign))()


def make_predictor(
    network: Callable[[tf.Tensor], tf.Tensor],
    take: Callable[[np.ndarray], np.ndarray],
    spec: tf.TensorSpec,
    batch_size: int,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from row numbers to a network's outputs; each row is computed once, by any replica.

    Args:
        network: Computes a batch.
        take: Row numbers to what the network takes.
        spec: Shape and type of that, [None, ...].
        batch_size: Rows per batch, of all replicas together.
    """
    strategy, count = tf.distribute.get_strategy(), replicas()
    alone = tf.function(network, input_signature=[spec], autograph=False)
    run = tf.function(lambda batch: strategy.run(network, args=(batch,)), reduce_retracing=True, autograph=False)

    def compute(rows: np.ndarray) -> np.ndarray:
        if count == 1:
            return alone(take(rows)).numpy()
        # rounded up
        size = -(-len(rows) // count)
        # Each replica needs equally many rows; the repeated last row is cut off again below.
        padded = np.concatenate([rows, np.repeat(rows[-1:], size * count - len(rows))])

        def own(context) -> tf.Tensor:
            start = context.replica_id_in_sync_group * size
            return tf.constant(take(padded[start : start + size]))

        parts = run(strategy.experimental_distribute_values_from_function(own))
        return strategy.gather(parts, axis=0).numpy()[: len(rows)]

    def predict(rows: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(rows), batch_size):
            stopping.check()
            found.append(compute(rows[start : start + batch_size]))
        return np.concatenate(found)

    return predict
