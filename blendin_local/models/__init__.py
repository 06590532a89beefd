"""Names of models, where their files come from, and whether they are whole."""
