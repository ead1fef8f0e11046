import json
import pickle

import pytest

from quaterion_models.encoders.prompts import SidePrompts, default_prompt, resolve_prompts


def folder_with(tmp_path, **config):
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(config))
    return tmp_path


def test_each_side_has_its_prompt_and_what_is_no_text_stays():
    prompts = pickle.loads(pickle.dumps(SidePrompts({"query": "q: ", "document": ""})))
    assert [prompts("a", side) for side in ("query", "document")] == ["q: a", "a"]
    image = object()
    assert prompts(image, "query") is image


def test_given_prompts_are_taken_as_they_are(tmp_path):
    given = {"document": "d", "query": ""}
    assert resolve_prompts(given, None, tmp_path) == {"query": "", "document": "d"}
    assert resolve_prompts(given, "", tmp_path) == {"query": "", "document": "d"}
    assert resolve_prompts(None, "p", tmp_path) is None


@pytest.mark.parametrize(
    ("prompts", "default", "expected"),
    [
        ({"query": "q", "document": "d"}, None, {"query": "q", "document": "d"}),
        ({"query": "q", "passage": "p"}, None, {"query": "q", "document": "p"}),
        ({"query": "q", "passage": "p", "document": "d", "other": "o"}, None, {"query": "q", "document": "d"}),
        ({"query": "q"}, None, {"query": "q", "document": ""}),
        ({"query": "q", "all": "a"}, "all", {"query": "q", "document": ""}),
    ],
)
def test_auto_takes_what_the_model_names(tmp_path, prompts, default, expected):
    folder = folder_with(tmp_path, prompts=prompts, default_prompt_name=default)
    assert resolve_prompts("auto", None, folder) == expected


@pytest.mark.parametrize("config", [{}, {"prompts": {}}, {"prompts": {"query": "", "document": ""}}, {"prompts": 3}])
def test_auto_without_named_prompts_is_refused(tmp_path, config):
    with pytest.raises(
        ValueError, match=r'prompts is "auto", and .* names no prompts for queries or documents, only \['
    ):
        resolve_prompts("auto", None, folder_with(tmp_path, **config))


@pytest.mark.parametrize(
    "prompts", [{}, {"query": "q"}, {"query": "q", "document": 3}, {"query": "q", "document": "d", "x": "y"}, "q", 3]
)
def test_other_prompts_are_named(tmp_path, prompts):
    with pytest.raises(ValueError, match=r'prompts must be \{"query": text, "document": text\}, or "auto" for those'):
        resolve_prompts(prompts, None, tmp_path)


def test_two_kinds_of_prompts_are_one_too_many(tmp_path):
    with pytest.raises(ValueError, match="got prompt 'p' and prompts .*: give one prompt for all texts, or one a side"):
        resolve_prompts({"query": "q", "document": "d"}, "p", tmp_path)


def test_a_model_that_counts_its_prompt_out_takes_none(tmp_path):
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Pooling", "path": "1"}]))
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "config.json").write_text(json.dumps({"include_prompt": False}))
    with pytest.raises(
        ValueError, match=r"leaves the prompt out of the mean \(include_prompt is false\).*not possible"
    ):
        resolve_prompts({"query": "q", "document": "d"}, None, tmp_path)


def test_the_default_prompt_is_read(tmp_path):
    assert default_prompt(tmp_path) == ""
    assert default_prompt(folder_with(tmp_path, prompts={"a": "x"}, default_prompt_name="a")) == "x"
    assert default_prompt(folder_with(tmp_path, prompts={"a": "x"}, default_prompt_name=None)) == ""
    assert default_prompt(folder_with(tmp_path, prompts={"a": 3}, default_prompt_name="a")) == ""
