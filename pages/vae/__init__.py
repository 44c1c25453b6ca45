"""Pages of the variational autoencoder."""
