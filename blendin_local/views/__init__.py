"""Records as rich renderables: pure functions, and the theme."""
