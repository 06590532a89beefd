"""Mathematics on numpy arrays and byte strings: no llama.cpp, no files, no clock, no printing."""
