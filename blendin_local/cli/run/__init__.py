"""`blendin run`: one answer."""
