"""Answering, reading by likelihood and judging; and where all of it is kept."""
