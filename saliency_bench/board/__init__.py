"""Boards: reported and measured scores side by side, as tables, statistics and a page."""
