"""Example extensions of ``lss_lightning``: a network, loss, data source, split, metric, callback and logger."""
