"""What the page Checkpoints tells of a model: its card, its row among others, its details."""
