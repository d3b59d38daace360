"""chatstore: look after the conversations that a chat product stores in MongoDB."""

__version__ = "0.1.0"
