"""`blendin bench`: how fast a pair is on this machine."""
