"""Build the documentation: `tox -e docs`."""

project = "tlmed"
copyright = "the tlmed authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "alabaster"
exclude_patterns = ["_build"]
