"""An older path of `quaterion.loss.arc_face_loss`."""

from quaterion.loss.arc_face_loss import ArcFaceLoss

__all__ = ["ArcFaceLoss"]
