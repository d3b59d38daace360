"""The repositories in which an application stores its threads. `chatstore_cli.threads` has the public names."""
