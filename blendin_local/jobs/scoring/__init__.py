"""Questions whose answers a program scores, and what scores are worth: shared by all jobs that compare."""
