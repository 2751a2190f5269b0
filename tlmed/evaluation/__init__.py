"""Evaluate a trained network: predictions, metrics, baselines, plots."""
