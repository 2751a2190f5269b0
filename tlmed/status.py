"""How far a run is, told from its directory while another process trains."""

import json
import time

from tlmed.rundir import RunDir

STATUS = "status.json"  # in the run's folder of progress


def describe_status(run: RunDir) -> list[str]:
    """Return in a few lines whether a run is training, stopped or complete, and how far it is."""
    if run.complete:
        return [f"{run.path}: complete."]
    words = run.marker.read_text(encoding="utf-8").strip().split(" The same command")[0]
    if not run.is_running:
        return [f"{run.path}: stopped; the same `tlmed train` command continues it.", words, *_describe_step(run)]
    return [f"{run.path}: running.", words, *_describe_step(run)]


def _describe_step(run) -> list[str]:
    file = run.progress / STATUS
    if not file.exists():
        return []
    now = json.loads(file.read_text(encoding="utf-8"))
    place = (
        f"Phase {now['phase']!r} ({now['number']} of {now['phases']}), epoch {now['epoch']} of {now['epochs']}, "
        f"step {now['step']} of {now['steps']}"
    )
    speed = f"{now['images_per_second']:.1f} images a second, validation included"
    left = f"at most {describe_seconds(now['seconds_left'])} left in this phase"
    return [f"{place}; {speed}; {left}.", f"As of {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now['time']))}."]


def describe_seconds(seconds: float) -> str:
    """Return a time in words that are short and exact enough.

    >>> describe_seconds(42.4), describe_seconds(200), describe_seconds(7500)
    ('42 s', '3 min 20 s', '2 h 5 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
