"""Enumerations and checks of numbers that every floor may use."""

from quaterion.utils.enums import TrainStage

__all__ = ["TrainStage"]
