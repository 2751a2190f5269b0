"""What a run runs on."""

from tlmed.environment.description import describe_code, describe_environment
from tlmed.environment.memory import memory_limit, peak_memory_mb
from tlmed.environment.processor import name_family

__all__ = ["describe_code", "describe_environment", "memory_limit", "name_family", "peak_memory_mb"]
