"""`blendin steer`: steering vectors learned from contrasting prompts."""
