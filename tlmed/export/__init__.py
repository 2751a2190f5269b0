"""A finished run for others: the packages that it was made with, a model card, or a folder for the Hugging Face Hub."""

from tlmed.export.joint_card import write_card
from tlmed.export.joint_requirements import write_requirements
from tlmed.export.saving import check_target, save

__all__ = ["check_target", "save", "write_card", "write_requirements"]
