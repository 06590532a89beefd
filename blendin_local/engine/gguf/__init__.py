"""What a GGUF file says about itself, read within bounds and without llama.cpp."""
