"""Networks, losses and the LightningModule. Light to import: torch comes with the modules that need it."""
