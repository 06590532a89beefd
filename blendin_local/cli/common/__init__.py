"""What several verbs share: options, their values, an open session, interrupts, progress."""
