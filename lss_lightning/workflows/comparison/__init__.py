"""Comparison of finished runs with one another and with the paper."""
