"""The test of networks, and its report."""
