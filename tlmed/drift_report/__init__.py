"""What a person sees of a check for drift: a page and a summary on a terminal, made from `watch.json`."""

from tlmed.drift_report.watch_files import check_watch_folder, write_watch
from tlmed.drift_report.watch_terminal import describe_watch

__all__ = ["check_watch_folder", "describe_watch", "write_watch"]
