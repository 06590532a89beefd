"""Records as files that people open: HTML pages, SVG pictures, Markdown."""
