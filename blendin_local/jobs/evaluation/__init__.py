"""Benchmarks: their data, how answers are scored, and what the scores are worth."""
