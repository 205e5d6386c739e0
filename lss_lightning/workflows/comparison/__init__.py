"""The steps of a comparison of finished runs with one another and with the paper."""
