"""The VAE: its training and its bundle."""
