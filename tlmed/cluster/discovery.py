"""Find the processes that this one trains together with: by TF_CONFIG, or else by Slurm."""

from collections.abc import Mapping

from tlmed.cluster.addresses import VARIABLE, Cluster, read_tf_config

_SLURM_TASKS, _SLURM_PLACE = "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"


def find_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """Return the cluster that the environment describes: TF_CONFIG, or else a step of Slurm's with several tasks.

    Under Slurm, `environment` must be `os.environ`, which TensorFlow's resolver reads. CUDA_VISIBLE_DEVICES is then set
    to this task's share of the GPUs that all tasks of its node see.

    Returns:
        None for a single process: no such variables, or one worker only.

    Raises:
        InputError: If TF_CONFIG or Slurm's variables cannot be used; all faults of TF_CONFIG at once.
    """
    if environment.get(VARIABLE):
        cluster = read_tf_config(environment[VARIABLE])
        return cluster if cluster.size > 1 else None
    # Not SLURM_NTASKS: a batch script has it too, and is one process.
    if environment.get(_SLURM_TASKS, "1") != "1" and _SLURM_PLACE in environment:
        from tlmed.cluster.slurm import find_slurm_step  # its resolver needs TensorFlow

        return find_slurm_step(environment)
    return None


def leave_cluster(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what `find_cluster` looks for: a process that has it trains by itself.

    >>> leave_cluster({"HOME": "/root", "SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "1", "SLURM_JOB_ID": "7"})
    {'HOME': '/root', 'SLURM_JOB_ID': '7'}
    """
    return {name: value for name, value in environment.items() if name not in (VARIABLE, _SLURM_TASKS, _SLURM_PLACE)}
