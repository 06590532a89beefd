"""Does guiding pay? 40 short prompts with known rules, asked of both models and of a method."""
