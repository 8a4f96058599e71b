"""Scores as data: what papers report (`reported/`), what was measured here, and the boards made of both."""
