"""The command line: a few lines per command; TensorFlow is imported only by commands that need it."""

from tlmed.cli.entry import cli, main

__all__ = ["cli", "main"]
