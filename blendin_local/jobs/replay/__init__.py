"""A stored answer decided again with other settings, without its models."""
