"""The paper's tables and figures, filled with our numbers beside its own."""
