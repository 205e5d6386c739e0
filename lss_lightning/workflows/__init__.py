"""The workflows of the commands: one module per command, and subpackages with their steps."""
