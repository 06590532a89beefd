"""`blendin bench`: what a pair does on this machine. Measured in `models`, `methods` and `rows`; begun in `run`."""
