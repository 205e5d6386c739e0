"""The work of each command: a module per command, and packages with its steps."""
