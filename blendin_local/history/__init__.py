"""Conversations kept in one SQLite file of the user. The Python library keeps none; the command line does."""
