"""A finished run as a file for others: the packages that it was made with, or a model card."""

from tlmed.export.joint_card import write_card
from tlmed.export.joint_requirements import write_requirements
from tlmed.export.saving import check_target, save

__all__ = ["check_target", "save", "write_card", "write_requirements"]
