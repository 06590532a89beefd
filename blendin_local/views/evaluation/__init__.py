"""An evaluation's report as grids of words, and as tables of a terminal."""
