"""A pair of models: from names to files (`resolve`), its parts (`setup`), the Python API (`pair`)."""
