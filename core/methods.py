"""``core.simsiam.methods``, by the name that the cards of published bundles have for it."""

from core.simsiam.methods import from_bundle, from_pretrained

__all__ = ["from_bundle", "from_pretrained"]
