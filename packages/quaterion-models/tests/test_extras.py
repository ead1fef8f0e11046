import pytest

from quaterion_models.extras import require


def test_an_installed_module_is_imported():
    assert require("json.decoder", extra="none").__name__ == "json.decoder"


def test_a_missing_module_is_an_error_with_the_command_to_type():
    with pytest.raises(ImportError, match=r'Type: pip install "quaterion\[cache\]"') as caught:
        require("no_such_module.part", extra="cache", distribution="quaterion")
    assert caught.value.name == "no_such_module"
