"""Checks that users can run over losses of their own."""

from quaterion.testing.battery import LossCheckError, check_loss

__all__ = ["LossCheckError", "check_loss"]
