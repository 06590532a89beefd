"""`blendin batch`: a file of prompts."""
