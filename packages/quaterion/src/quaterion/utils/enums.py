"""Names that several floors share."""

from enum import StrEnum

__all__ = ["TrainStage"]


class TrainStage(StrEnum):
    """What a batch is used for; a stage is also its own string.

    Example:
        >>> f"loss_{TrainStage.VALIDATION}", TrainStage("test") is TrainStage.TEST
        ('loss_validation', True)
    """

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
