"""SimSiam and its siblings: their training, what is measured of them, their bundles."""
