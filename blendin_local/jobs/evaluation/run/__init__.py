"""Answering, scoring options by log-likelihood, and judging; into the folder of the evaluation."""
