"""The steps of an evaluation: tests of networks and the report on their results."""
