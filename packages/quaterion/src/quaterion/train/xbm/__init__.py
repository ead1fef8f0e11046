"""Cross-batch memory."""

from quaterion.train.xbm.config import XbmConfig, XbmDevice
from quaterion.train.xbm.memory import CrossBatchMemory

__all__ = ["CrossBatchMemory", "XbmConfig", "XbmDevice"]
