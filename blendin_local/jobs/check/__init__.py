"""Is this pair any good: its files, its answers, the calibration of its confidence."""
