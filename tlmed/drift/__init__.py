"""Drift: whether what a network answers since it was trained is distributed as on its test split. Arrays in."""
