"""The processes of a run and their addresses, as TF_CONFIG gives them."""

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tlmed.errors import InputError, did_you_mean

VARIABLE = "TF_CONFIG"
SECRET = "TLMED_WORKERS_SECRET"  # the variable that holds a text known to the processes of one run only
JOBS = ("chief", "worker")  # in the order of the index


@dataclass(frozen=True)
class Cluster:
    """The processes of a run, and which of them this one is.

    Attributes:
        workers: The address of each, "host:port", the chief's first.
        index: This process's place among them.

    >>> cluster = Cluster(("10.0.0.1:5000", "10.0.0.2:5000"), 1)
    >>> cluster.size, cluster.is_chief, cluster.address, cluster.name(0)
    (2, False, '10.0.0.2:5000', 'worker 0 (10.0.0.1:5000)')
    >>> cluster.is_local, Cluster(("127.0.0.1:5000", "[::1]:5001"), 0).is_local
    (False, True)
    >>> cluster.tf_config()
    '{"cluster": {"worker": ["10.0.0.1:5000", "10.0.0.2:5000"]}, "task": {"type": "worker", "index": 1}}'
    """

    workers: tuple[str, ...]
    index: int

    @property
    def size(self) -> int:
        """Return the number of processes."""
        return len(self.workers)

    @property
    def is_chief(self) -> bool:
        """Tell whether this process is the first."""
        return self.index == 0

    @property
    def address(self) -> str:
        """Return this process's own address."""
        return self.workers[self.index]

    @property
    def is_local(self) -> bool:
        """Tell whether all processes talk over this machine's loopback interface."""
        return all(_is_loopback(split_address(address)[0]) for address in self.workers)

    def name(self, index: int) -> str:
        """Return what messages call a process."""
        return f"worker {index} ({self.workers[index]})"

    def tf_config(self) -> str:
        """Return the text of TF_CONFIG: all are workers, of which TensorFlow takes the first as the chief."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


def read_tf_config(text: str) -> Cluster:
    """Return the cluster of a TF_CONFIG.

    Raises:
        InputError: If it is no TF_CONFIG of workers, with at most one chief; with all its faults.
    """
    try:
        config = json.loads(text)
    except ValueError as error:
        raise InputError(f"`{VARIABLE}` must be JSON. Received: {text!r} ({error}).") from error
    if not isinstance(config, dict):
        raise InputError(f'`{VARIABLE}` must be an object with "cluster" and "task". Received: {text!r}.')
    jobs, task = config.get("cluster"), config.get("task")
    if not isinstance(jobs, dict) or not jobs:
        faults = [_must('have a "cluster" such as {"worker": ["host:port", "host:port"]}', f"cluster={jobs!r}")]
    else:
        faults = [*_job_faults(jobs), *_address_faults(jobs), *_task_faults(task, jobs)]
    if faults:
        raise InputError(faults)
    # The chief has index 0, so workers are counted after it.
    before = len(jobs.get("chief", ())) if task["type"] == "worker" else 0
    return Cluster(tuple(_addresses(jobs)), before + int(task["index"]))


def split_address(address: str) -> tuple[str, int]:
    """Return the host and the port of an address.

    Raises:
        ValueError: If it is not "host:port".

    >>> split_address("gpu-1.local:8888"), split_address("[fe80::1]:8888")
    (('gpu-1.local', 8888), ('fe80::1', 8888))
    """
    found = re.fullmatch(r"(?:([^\s:/\[\]]+)|\[([\w:.%]+)\]):([0-9]{1,5})", address)
    if not found or not 0 < int(found[3]) < 2**16:
        raise ValueError(f"{address!r} is not 'host:port'")
    return found[1] or found[2], int(found[3])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name, which only the network can resolve
        return False


def _must(rule: str, received: str) -> str:
    return f"`{VARIABLE}` must {rule}. Received: {received}."


def _addresses(jobs: Mapping[str, list[str]]) -> list[str]:
    """Return all addresses that are texts, in the order of the index; the others are faults of their job."""
    lists = [jobs[name] for name in JOBS if isinstance(jobs.get(name), list)]
    return [address for addresses in lists for address in addresses if isinstance(address, str)]


def _job_faults(jobs: Mapping) -> Iterator[str]:
    for name, addresses in jobs.items():
        if name in ("ps", "evaluator"):
            yield _must("have workers only: parameter servers and evaluators are not used", f"the job {name!r}")
        elif name not in JOBS:
            yield _must("have the jobs 'chief' and 'worker' only", f"{name!r}.{did_you_mean(name, JOBS)}".rstrip("."))
        elif not isinstance(addresses, list) or not addresses or not all(isinstance(it, str) for it in addresses):
            yield _must(f"list the addresses of {name!r}", f"{name}={addresses!r}")
        elif name == "chief" and len(addresses) > 1:
            yield _must("have one chief at most", f"chief={addresses!r}")


def _address_faults(jobs: Mapping) -> Iterator[str]:
    for address, times in Counter(_addresses(jobs)).items():
        try:
            split_address(address)
        except ValueError:
            yield _must("have addresses such as 'host:port' or '[::1]:port', ports of 1 to 65535", repr(address))
        if times > 1:
            yield _must("give each worker an address of its own", f"{address!r} {times} times")


def _task_faults(task, jobs: Mapping) -> Iterator[str]:
    if not isinstance(task, dict) or not {"type", "index"} <= set(task):
        yield _must('have a "task" such as {"type": "worker", "index": 0}', f"task={task!r}")
        return
    if task["type"] not in jobs:
        yield _must(f"have a task of one of its jobs: {', '.join(jobs)}", f"type={task['type']!r}")
    elif not jobs[task["type"]] or not isinstance(jobs[task["type"]], list):
        return  # a fault of the job
    elif not _is_index(task["index"]) or int(task["index"]) >= len(jobs[task["type"]]):
        count = len(jobs[task["type"]])
        yield _must(f"have a task index of 0 to {count - 1} for {task['type']!r}", f"index={task['index']!r}")


def _is_index(value) -> bool:
    """Tell whether a value is a whole number, or a text of one, as templates of cluster software write it."""
    return value.isdecimal() if isinstance(value, str) else type(value) is int and value >= 0
