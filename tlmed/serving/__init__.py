"""Serve a run: a page and an interface over HTTP that answer for images as `tlmed predict` does, one at a time."""
