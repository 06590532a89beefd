"""Text that is laid out while it is written: Markdown, wrapped words, tables; without a terminal."""
