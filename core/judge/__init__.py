"""The digit classifier that judges generated pictures, and the measures that use it."""

from core.judge.model import Judge, JudgeConfig

__all__ = ["Judge", "JudgeConfig"]
