"""Pages of SimSiam and its siblings."""
