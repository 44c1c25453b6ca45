"""Offline: makes the bundles that the app shows. ``python -m train --help`` lists the commands."""
