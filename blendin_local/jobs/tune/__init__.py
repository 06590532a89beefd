"""Settings of a pair chosen on a validation set: the trials, how they are run, their results."""
