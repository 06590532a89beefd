"""Is this pair any good: what its files say, how it answers, how far its confidence can be trusted."""
