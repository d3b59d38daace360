"""Whole conversations: on a terminal, as Markdown for a ticket, and as one HTML file. Each is written turn by turn."""
