"""Steering vectors learned from contrasting prompts."""
