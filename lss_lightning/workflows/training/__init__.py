"""The steps of a training run: optimizer, callbacks, trainer, checkpoints and metadata."""
