"""GBNF, the grammars of llama.cpp: read as llama.cpp reads them, written as llguidance does."""
