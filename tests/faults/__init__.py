"""Hostile and broken input: mutated files, templates, rows, answers of a hub, commands, faults of the disk.

A small share runs with the other tests; `pytest tests/faults --faults full` runs all and prints a table.
"""
