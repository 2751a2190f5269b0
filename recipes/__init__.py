"""The recipes that come with tlmed, one file each. None imports another."""
