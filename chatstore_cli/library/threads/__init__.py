"""Where an application keeps its threads. `chatstore_cli.threads` has the public names."""
