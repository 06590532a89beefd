"""Settings of a pair chosen on a validation set: which trials, how they are run, what they say."""
