"""A file of prompts answered row by row: reading, running, keeping what was finished."""
