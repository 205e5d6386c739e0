"""What the trackers are given."""
