"""The judge of digits: its training and its bundle."""
