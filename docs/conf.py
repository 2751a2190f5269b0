"""Build the documentation: `tox -e docs`."""

project = "tlmed"
copyright = "the tlmed authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3  # [a link](page.md#a-heading) works as it does on GitHub
html_theme = "furo"  # brings its fonts and scripts along: the pages ask no other server for anything
html_title = "tlmed"
exclude_patterns = ["_build"]
