"""The steps of a training, and what is kept and said of it."""
