"""Web pages in a single file: templates that escape every text, one style, pictures inside, no script, no network."""
