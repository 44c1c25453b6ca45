"""What pages of the diffusion model are made of."""
