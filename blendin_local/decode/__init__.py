"""How one answer is made (`respond`) and who runs the models for it (`drive`)."""
