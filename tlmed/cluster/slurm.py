"""The processes of a Slurm step."""

import re
from collections.abc import MutableMapping

from tlmed.cluster.addresses import Cluster, split_address
from tlmed.cluster.gpus import VARIABLE, share_of, visible_gpus
from tlmed.errors import InputError

# Below the ports that systems give to outgoing connections. Jobs and steps that share a node get different ones; the
# resolver's own default is the same for all.
FIRST_PORT, RANGES, PORTS = 10_000, 200, 100
# If one is set, Slurm itself divides the GPUs.
BOUND = ("SLURM_GPUS_PER_TASK", "SLURM_TRES_PER_TASK", "SLURM_NTASKS_PER_GPU", "SLURM_GPU_BIND")


def find_slurm_step(environment: MutableMapping[str, str]) -> Cluster:
    """Return the tasks of the Slurm step that this process is one of, and take its share of the node's GPUs.

    Raises:
        InputError: If Slurm's variables contradict each other, or tasks do not fill node after node.
    """
    import tensorflow as tf

    try:
        # The resolver's own division of GPUs fails if there are fewer GPUs than tasks, and assigns the first GPUs of a
        # node even if the job has others. So it is told of one GPU for each task, and must not set any.
        tasks = int(environment["SLURM_STEP_NUM_TASKS"])
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=_port_base(environment), gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        workers = resolver.cluster_spec().as_dict()["worker"]
        # It sorts hosts as text, node10 before node9; Slurm sorts them by number.
        cluster = Cluster(tuple(sorted(workers, key=_host_key)), int(environment["SLURM_PROCID"]))
        host = split_address(cluster.address)[0]
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(f"Slurm's variables must describe the step. Received: {error}.") from error
    node = environment.get("SLURMD_NODENAME", host)
    if node != host:
        raise InputError(
            "Slurm's tasks must fill node after node (srun --distribution=block), or TF_CONFIG must tell where they "
            f"are. Received: task {cluster.index} is on {node}, not on {host}."
        )
    _take_gpus(environment, cluster)
    return cluster


def _port_base(environment) -> int:
    job, step = (int(environment.get(name, 0)) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    # 37 has no factor in common with 200: jobs with neighbouring numbers get ranges far apart.
    return FIRST_PORT + PORTS * ((37 * job + step) % RANGES)


def _host_key(address: str) -> list[str | int]:
    """Return a key that sorts hosts by number.

    >>> sorted(["node10:1", "node9:1"], key=_host_key)
    ['node9:1', 'node10:1']
    """
    host, _ = split_address(address)
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", host)]


def _take_gpus(environment, cluster):
    """Leave to this task its share of the GPUs that all tasks of the node see, unless Slurm has divided them."""
    if any(environment.get(name) for name in BOUND):
        return
    host = split_address(cluster.address)[0]
    beside = [i for i, address in enumerate(cluster.workers) if split_address(address)[0] == host]
    share = share_of(visible_gpus(environment), len(beside), beside.index(cluster.index))
    if len(beside) > 1 and share:
        environment[VARIABLE] = ",".join(share)
