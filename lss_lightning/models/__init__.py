"""Networks, losses and LightningModules. Importing this package does not import torch; its modules do as needed."""
