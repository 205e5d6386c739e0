"""Testing of networks and the report on it."""
