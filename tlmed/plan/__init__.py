"""What a schedule means for a network: which blocks and layers each phase trains, and how many parameters."""

import tlmed.tensorflow_start

from tlmed.plan.costs import Terms, describe_foreign
from tlmed.plan.expansion import expand, find_schedule_faults
from tlmed.plan.plan_json import describe_classifier, make_plan, memory_needed
from tlmed.plan.tables import (
    describe_backbone,
    describe_blocks,
    describe_caching,
    describe_images,
    describe_phases,
    describe_reused,
)

__all__ = [
    "Terms",
    "describe_backbone",
    "describe_blocks",
    "describe_caching",
    "describe_classifier",
    "describe_foreign",
    "describe_images",
    "describe_phases",
    "describe_reused",
    "expand",
    "find_schedule_faults",
    "make_plan",
    "memory_needed",
]
