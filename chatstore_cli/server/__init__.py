"""The HTTP and WebSocket server. It needs the extra `server` of this package."""
