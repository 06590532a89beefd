"""The HTTP server: OpenAI's API with the provenance of every token, and a page."""
