"""Bundles: the format, the manifest, the Hub. Knows no model: who opens one says what builds it."""
