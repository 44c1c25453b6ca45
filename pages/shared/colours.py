"""Every colour of figures, formulas and text.

The curves are in the colour-blind-safe palette of Okabe & Ito (2008), with three more where it has too
few; the classes in ten that stay apart, most of them of Paul Tol's muted palette.
"""

from __future__ import annotations

BLUE, VERMILION, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, GREY = "#56B4E9", "#E69F00", "#7A7A7A"
BROWN, VIOLET, OLIVE = "#8C5A2B", "#5B3FA0", "#B8A900"

INK, LABEL, NEEDLE = "#1D2733", "#333333", "#111111"
PAPER, STILL, LEARNS = "#FDFCF9", "#ECEBE7", "#DDF1EA"
LABEL_ON_DARK = "#ECE9E1"
"""As ``LABEL``, where the theme is dark: the text colour of that theme."""
PALE, WHISKER = "#B9C4CC", "#5A6570"
APP = "#0b5c8f"
"""Of the app itself, as ``primaryColor`` of its theme."""

MARK = VERMILION
"""What a frame or a line points out."""

SYMBOL_COLOURS = {"x": BLUE, "x_hat": GREEN, "z": VERMILION, "eps": PINK, "x_t": "#B26A00"}
"""One colour a symbol, in figures, formulas and text."""

CLASSES = (
    "#332288",
    AMBER,
    "#88CCEE",
    "#CC6677",
    "#999933",
    "#882255",
    "#117733",
    "#AA4499",
    BLUE,
    GREY,
)
"""One colour a class of CIFAR-10; symbols tell the classes apart too."""
