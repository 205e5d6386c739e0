"""Training and inference as ours and as others would write them, each run in a process of its own."""
