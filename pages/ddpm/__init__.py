"""Pages of the diffusion model."""
