"""Training as in this package and as users of other libraries write it, each run in its own process."""
