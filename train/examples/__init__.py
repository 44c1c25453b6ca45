"""Training loops to read first: one file a model, top to bottom, nothing but torch and core."""
