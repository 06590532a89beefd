"""`blendin eval`: methods, pairs and benchmarks side by side."""
