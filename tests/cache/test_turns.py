"""One process at a time has the turn of an address, until it ends, however it ends."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from tlmed.cache import turns
from tlmed.cache.turns import take_turn


def test_a_turn_is_for_one_at_a_time_and_leaves_nothing(tmp_path):
    with take_turn(tmp_path, "a") as turn:
        assert turn.path.stat().st_mode & 0o077 == 0
        assert take_turn(tmp_path, "a") is None
        with take_turn(tmp_path, "b") as other:
            assert other is not None
    assert list(tmp_path.iterdir()) == []
    with take_turn(tmp_path, "a"):
        pass


def test_the_turn_of_a_process_that_is_killed_is_free(tmp_path):
    program = "import sys, time; from pathlib import Path; from tlmed.cache.turns import take_turn\n"
    program += "turn = take_turn(Path(sys.argv[1]), 'a'); print('has it', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"has it\n"
        assert take_turn(tmp_path, "a") is None
        process.send_signal(signal.SIGKILL)
    with take_turn(tmp_path, "a") as turn:
        assert turn is not None


def test_a_file_that_goes_while_its_lock_is_taken_is_no_turn(tmp_path, monkeypatch):
    lock, calls = turns.fcntl.flock, []

    def end_before(number, how):
        calls.append(number)
        if len(calls) == 1:  # who had the turn ends it after this process has opened the file
            (tmp_path / "a.turn").unlink()
        lock(number, how)

    monkeypatch.setattr(turns.fcntl, "flock", end_before)
    with take_turn(tmp_path, "a") as turn:
        assert len(calls) == 2
        assert os.path.samestat(os.fstat(turn.number), turn.path.stat())


@pytest.mark.parametrize("fault", [errno.ENOSYS, errno.EIO])
def test_without_locks_everybody_has_a_turn_and_other_faults_are_told(tmp_path, monkeypatch, fault):
    def refuse(number, how):
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(turns.fcntl, "flock", refuse)
    if fault == errno.EIO:
        with pytest.raises(OSError, match="Input/output"):
            take_turn(tmp_path, "a")
        return
    with take_turn(tmp_path, "a") as one, take_turn(tmp_path, "a") as other:
        assert None not in (one, other)
