"""Questions: their files, their records, the shipped subsets."""
