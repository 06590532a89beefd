"""`blendin replay`: a stored answer decided again."""
