"""`blendin pull`, `ls`, `show`, `rm` and `doctor`."""
