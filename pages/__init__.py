"""The app's pages: a module each, whose ``main`` shows a claim, controls, a figure and its code."""
