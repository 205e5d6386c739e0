"""The command line: Hydra around the workflows, and one line for each mistake of the user."""
