"""What an evaluation compares, on what and with which models."""
