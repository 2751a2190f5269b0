"""The environment of a run: packages, processor, memory, threads."""

import tlmed.tensorflow_start

from tlmed.environment.description import count_threads, describe_code, describe_environment
from tlmed.environment.memory import check_address_space, free_memory, memory_limit, peak_memory_mb
from tlmed.environment.processor import describe_processor, name_family

__all__ = [
    "check_address_space",
    "count_threads",
    "describe_code",
    "describe_environment",
    "describe_processor",
    "free_memory",
    "memory_limit",
    "name_family",
    "peak_memory_mb",
]
