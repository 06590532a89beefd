"""`blendin tune`: settings chosen on a validation set."""
