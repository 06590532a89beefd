"""Answers that must have a form: JSON Schemas, regular expressions and grammars, matched by llguidance.

This room alone imports llguidance.
"""
