"""The command line: each command a few lines, TensorFlow only where a command needs it."""

from tlmed.cli.entry import cli, main

__all__ = ["cli", "main"]
