"""SimSiam and its siblings: methods, views, and the measures that tell collapse from learning."""

from core.simsiam.joint_embedding import cosine_similarity
from core.simsiam.methods import from_pretrained
from core.simsiam.simsiam import PRESETS, SimSiam, SimSiamConfig, loss
from core.simsiam.views import STANDARD, Views

__all__ = [
    "PRESETS",
    "STANDARD",
    "SimSiam",
    "SimSiamConfig",
    "Views",
    "cosine_similarity",
    "from_pretrained",
    "loss",
]
