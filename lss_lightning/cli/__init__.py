"""The command line: Hydra around the workflows, and mistakes of the user in one line."""
