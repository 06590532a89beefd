"""Forms that an answer must have: what it must match, checked before a model is loaded."""
