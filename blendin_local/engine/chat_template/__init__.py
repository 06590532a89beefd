"""What the guide's Jinja template makes of a conversation, rendered in a bounded child process."""
