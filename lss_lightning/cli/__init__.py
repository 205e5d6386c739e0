"""The command line: runs the workflows through Hydra, and reports each user error in one line."""
