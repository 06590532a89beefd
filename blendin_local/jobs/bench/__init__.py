"""`blendin bench`: what a pair does on this machine (`run` begins `models`, `methods` and `rows`)."""
