"""How fast a pair is on this machine (`job` runs `models`, `methods` and `parallel`)."""
