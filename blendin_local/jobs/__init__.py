"""Longer work over many answers: each job returns a record and prints nothing."""
