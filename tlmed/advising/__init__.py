"""Advice: from images to the right recipe, by what they are, by rules and by trials, with the reasons."""
