"""`blendin logs`: the conversations of the history."""
