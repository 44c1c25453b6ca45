"""Pictures: formats and grids, data sets, drawn house numbers and objects."""
