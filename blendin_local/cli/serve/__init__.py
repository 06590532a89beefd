"""`blendin serve`: a pair for every client of OpenAI's API."""
