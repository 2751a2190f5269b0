"""Memory is checked before it is taken: where TensorFlow finds none, it ends the process."""

import re
import resource
import subprocess
import sys

import pytest

from tlmed import failures
from tlmed.environment import memory
from tlmed.environment.memory import check_address_space, free_memory, memory_limit
from tlmed.errors import RunFailed


def limit_address_space(monkeypatch, left):
    """Leave so many bytes of address space, as far as tlmed can tell."""
    used = memory.psutil.Process().memory_info().vms
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (used + left, resource.RLIM_INFINITY))


def test_what_is_free_is_no_more_than_the_machine_has(monkeypatch):
    machine = memory.psutil.virtual_memory().total + memory.psutil.swap_memory().total
    assert 0 < free_memory() < memory_limit(on_gpu=False) <= machine * 1.01
    limit_address_space(monkeypatch, 10**8)
    assert free_memory() <= 1.2 * 10**8
    limit_address_space(monkeypatch, -(10**8))
    assert free_memory() == 0


def test_an_address_space_that_is_too_small_is_told_with_the_least_that_is_enough(monkeypatch):
    check_address_space(2**60)  # no limit, no check
    limit_address_space(monkeypatch, memory.SPACE + 10**9)
    check_address_space(10**8)
    with pytest.raises(RunFailed, match=r"`ulimit -v` must be \d+ or more") as raised:
        check_address_space(2 * 10**9)
    least, received = map(int, re.findall(r"\d{4,}", str(raised.value)))
    assert 0.9e9 < (least - received) * 1024 < 1.2e9


def write_group(folder, limit, used, cached, version):
    names = ("memory.max", "memory.current", "inactive_file")
    names = names if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (limit, used), strict=False):
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{names[2]} {cached}\n")


@pytest.mark.parametrize("version", [1, 2])
def test_every_group_above_counts(tmp_path, version):
    root = tmp_path / ("memory" if version == 1 else "")
    write_group(root / "a", 1000, 900, 300, version)
    write_group(root / "a" / "b", "max" if version == 2 else 2**63 - 4096, 500, 0, version)
    (tmp_path / "cgroup").write_text(f"5:cpu:/\n{'4:memory' if version == 1 else '0:'}:/a/b\n")
    free = memory._free_in_groups(tmp_path / "cgroup", tmp_path)
    assert min(free) == 400
    assert len(free) == (1 if version == 2 else 2)


def test_in_a_container_the_root_of_the_tree_is_its_group(tmp_path):
    write_group(tmp_path, 1000, 100, 50, 2)
    (tmp_path / "cgroup").write_text("0::/on/the/host\n")
    assert memory._free_in_groups(tmp_path / "cgroup", tmp_path) == [950]
    assert memory._free_in_groups(tmp_path / "none", tmp_path) == []


def test_a_lack_of_memory_is_known_by_all_its_names():
    tf = pytest.importorskip("tensorflow")
    words = "Operation received an exception:Status: 1, message: could not create a primitive, in file mkl_conv_ops.cc"
    short = [MemoryError(), tf.errors.ResourceExhaustedError(None, None, ""), tf.errors.AbortedError(None, None, words)]
    assert all(map(failures.lacks_memory, [*short, RuntimeError("can't start new thread")]))
    others = [tf.errors.AbortedError(None, None, words.replace("1", "3")), RuntimeError("can't"), ValueError(words)]
    assert not any(map(failures.lacks_memory, others))


@pytest.mark.parametrize("command", ["train quickstart --out run", "backbones --table"])
def test_a_command_in_too_little_address_space_ends_in_a_line(tmp_path, command):
    script = "import sys; from tlmed.cli import main; sys.argv = ['tlmed', *sys.argv[1:]]; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *command.split()],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "Error: The address space must have room for TensorFlow: `ulimit -v` must be 2621440 or more"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_training_in_too_little_address_space_ends_in_a_line(tmp_path, images):
    script = "import sys; from tlmed.cli import main; sys.argv = ['tlmed', *sys.argv[1:]]; main()"
    command = ["train", "fine_tuning", "--data", str(images), "--set", "weights=none", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3_000_000 * 1024, resource.RLIM_INFINITY)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 3
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("Warning: ")]
    assert line.startswith("Error: The address space must have room for training: `ulimit -v` must be")
