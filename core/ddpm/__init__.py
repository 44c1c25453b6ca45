"""Denoising diffusion: schedule, samplers, U-Net, and the model that they make."""

from core.ddpm.model import DDPM, PRESETS, DDPMConfig, ScheduleConfig
from core.ddpm.samplers import (
    Step,
    ddim,
    dpm_solver,
    p_sample_loop,
    sample,
    snap,
    time_grid,
    times_from,
)
from core.ddpm.schedule import NoiseSchedule, draw_noise
from core.ddpm.unet import UNet, UNetConfig

__all__ = [
    "DDPM",
    "PRESETS",
    "DDPMConfig",
    "NoiseSchedule",
    "ScheduleConfig",
    "Step",
    "UNet",
    "UNetConfig",
    "ddim",
    "dpm_solver",
    "draw_noise",
    "p_sample_loop",
    "sample",
    "snap",
    "time_grid",
    "times_from",
]
