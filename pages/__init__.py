"""One file a page: a claim, controls, one call into ``core``, a figure, the code that made it."""
