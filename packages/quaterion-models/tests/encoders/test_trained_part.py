import pytest

from quaterion_models.encoders.trained_part import check_trained_part


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((False, None, None, False), (False, None)),
        ((False, 0, None, False), (False, None)),  # a frozen model by another name
        ((True, None, None, True), (True, None)),
        ((False, 3, None, True), (True, 3)),
        ((True, 3, None, False), (True, 3)),
        ((False, None, {"r": 4}, True), (True, None)),
        ((False, 0, True, False), (True, None)),
    ],
)
def test_the_arguments_say_whether_anything_is_trained_and_how_many_layers(arguments, expected):
    assert check_trained_part(*arguments) == expected


@pytest.mark.parametrize("layers", [-1, 1.5, True, "1"])
def test_what_is_no_number_of_layers_is_refused(layers):
    with pytest.raises(ValueError, match="trainable_layers must be None or an integer of at least 0, got"):
        check_trained_part(False, layers, None, False)


def test_arguments_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="trainable=True and trainable_layers=0 contradict each other"):
        check_trained_part(True, 0, None, False)
    with pytest.raises(ValueError, match="trainable_layers=1 trains layers themselves, and lora trains adapters"):
        check_trained_part(False, 1, True, False)
    for layers in (None, 0):
        with pytest.raises(ValueError, match="gradient_checkpointing=True is for a model that is trained"):
            check_trained_part(False, layers, None, True)
