"""The sockets: one file for each family."""
