"""Image processors described for a program without transformers; what they compute is compared by the export."""

import pytest

from quaterion_models.export.pixels import describe_processor

transformers = pytest.importorskip("transformers")
pytest.importorskip("PIL")


def test_a_processor_that_crops():
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 20}, crop_size={"height": 16, "width": 12}, image_mean=[0.1, 0.2, 0.3], resample=2
    )
    described = describe_processor(processor, "here")
    assert described["resize"] == {"shortest_edge": 20}
    assert described["crop"] == {"height": 16, "width": 12}
    assert (described["resample"], described["mean"]) == ("bilinear", [0.1, 0.2, 0.3])
    assert described["rescale"] == pytest.approx(1 / 255)


def test_steps_that_are_off_change_nothing():
    processor = transformers.ViTImageProcessorPil(do_resize=False, do_rescale=False, do_normalize=False)
    described = describe_processor(processor, "here")
    assert (described["resize"], described["crop"], described["rescale"]) == (None, None, 1.0)
    assert (described["mean"], described["std"]) == ([0.0] * 3, [1.0] * 3)


@pytest.mark.parametrize(("side", "resize", "crop"), [(224, {"shortest_edge": 256}, 224), (384, None, None)])
def test_convnext_cuts_out_the_middle_of_small_images_only(side, resize, crop):
    processor = transformers.ConvNextImageProcessorPil(size={"shortest_edge": side}, crop_pct=224 / 256)
    described = describe_processor(processor, "here")
    assert described["resize"] == (resize or {"height": side, "width": side})
    assert described["crop"] == (None if crop is None else {"height": crop, "width": crop})


def test_other_steps_are_refused():
    processor = transformers.CLIPImageProcessorPil(do_pad=True)
    with pytest.raises(ValueError, match=r"the image processor of here does what an exported model cannot .*do_pad"):
        describe_processor(processor, "here")
    processor = transformers.ViTImageProcessorPil(size={"longest_edge": 64})
    with pytest.raises(ValueError, match=r"does what an exported model cannot \(its size"):
        describe_processor(processor, "here")
