"""A network, loss, data source, split, metric, callback and logger outside ``lss_lightning``."""
