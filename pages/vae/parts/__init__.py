"""What pages of the variational autoencoder are made of."""
