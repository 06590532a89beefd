"""Tests of the Python API: opening a pair, asking it."""
