"""Web pages that stand alone: templates with everything escaped, one style, pictures inside, no script, no network."""
