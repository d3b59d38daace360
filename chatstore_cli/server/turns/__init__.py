"""Turns of a conversation: recording them, asking the responder, and starting calls."""
