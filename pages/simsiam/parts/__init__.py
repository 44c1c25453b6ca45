"""What pages of SimSiam and its siblings are made of."""
