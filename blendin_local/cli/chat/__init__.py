"""`blendin chat`: a conversation."""
