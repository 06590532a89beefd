"""The metadata of a GGUF file, read within bounds and without llama.cpp."""
