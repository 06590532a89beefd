"""How answers are read and scored without a judge."""
