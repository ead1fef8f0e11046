import pytest

from quaterion_runtime.serve.options import ServeOptions


def test_options_that_cannot_be_met_are_refused():
    with pytest.raises(ValueError, match="the API key is empty: give one with characters, or none"):
        ServeOptions(name="a", api_key="")
    for key in (" ", "secret\n", " secret"):
        with pytest.raises(
            ValueError, match="the API key has spaces around it, which no header carries: give it without"
        ):
            ServeOptions(name="a", api_key=key)
    with pytest.raises(ValueError, match="max_queue must be at least max_texts, which is 5, .*; got 4"):
        ServeOptions(name="a", max_texts=5, max_queue=4)
    assert ServeOptions(name="a", max_texts=5, max_queue=5).max_queue == 5
