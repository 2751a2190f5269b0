"""Adapters: train a few numbers beside frozen kernels, and merge them into the kernels after the phase."""

import tlmed.tensorflow_start

from tlmed.adapters.attachment import Adapter, Attached, attach, choose_rank, count_added, find_adapters

__all__ = ["Adapter", "Attached", "attach", "choose_rank", "count_added", "find_adapters"]
