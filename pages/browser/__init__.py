"""What runs in the visitor's browser: plain ES modules in ``modules``, each with a Python face here.

While a hand moves, the server does nothing; it learns the value when the hand lets go.
"""
