"""The diffusion model: its training and its bundle."""
