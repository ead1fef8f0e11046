"""Validation of the cache's configuration."""

import pytest

from quaterion.cache import CacheConfig, CacheType


def test_defaults_are_those_documented():
    config = CacheConfig()
    assert (config.cache_type, config.batch_size, config.num_workers, config.save_dir) == (
        CacheType.AUTO,
        32,
        None,
        None,
    )
    assert config.mapping == {} and config.key_extractors == {}


def test_names_are_accepted_for_cache_types_and_the_mapping_wins():
    config = CacheConfig("cpu", mapping={"text": "none"})
    assert config.placement("text") is CacheType.NONE and config.placement("image") is CacheType.CPU
    assert str(CacheType.CPU) == "cpu"


def test_one_function_serves_every_encoder():
    assert CacheConfig(key_extractors=str).key_extractor("any") is str
    assert CacheConfig(key_extractors={"a": str}).key_extractor("b") is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"cache_type": "ram"}, ValueError, "cache type 'ram'; expected one of 'none', 'auto'"),
        ({"mapping": {"a": "ram"}}, ValueError, "cache type 'ram'"),
        ({"batch_size": 0}, ValueError, "batch_size=0; expected an int of at least 1"),
        ({"dtype": "int8"}, ValueError, "dtype='int8'; expected 'float32' or 'float16'"),
        ({"num_workers": -1}, ValueError, "num_workers=-1"),
        ({"save_dir": 3}, TypeError, "save_dir=3; expected a folder"),
        ({"key_extractors": 3}, TypeError, "expected a function"),
        ({"key_extractors": {"a": "id"}}, TypeError, "'id'.*expected a function"),
        ({"mapping": None}, TypeError, "mapping=None; expected a dictionary of cache types"),
        ({"save_dir": ""}, ValueError, "save_dir=''; expected a folder .*working directory"),
    ],
)
def test_bad_arguments_are_refused_when_the_configuration_is_built(arguments, error, message):
    with pytest.raises(error, match=message):
        CacheConfig(**arguments)
