"""Searches under a budget: which candidates of a study are tried, on how many draws, and what the winner is worth."""
