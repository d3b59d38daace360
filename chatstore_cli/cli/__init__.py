"""The command line: one file per command or command group. Thin: parse, call one use case, render."""
