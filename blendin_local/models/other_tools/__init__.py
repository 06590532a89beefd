"""Model files that belong to other programs: found, listed and read, never written, locked or removed."""
