"""The report of an evaluation as page, Markdown and pictures."""
