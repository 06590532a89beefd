"""From kept answers to figures, tests and one report."""
