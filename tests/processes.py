"""Wait for what other processes do."""

import os
import time


def is_running(number: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has asked for its status does not."""
    try:
        os.kill(number, 0)
        with open(f"/proc/{number}/stat") as file:
            return file.read().rsplit(")")[-1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def until(reached, seconds: float = 20) -> None:
    """Wait until something is true, for a while."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)
