"""What a trained network is worth: predictions, scores to beat, plots."""
