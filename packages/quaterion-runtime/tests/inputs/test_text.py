import json
import os
import threading

import numpy as np
import pytest

from quaterion_runtime import Model, RuntimeFolderError
from quaterion_runtime.folder import TextInput
from quaterion_runtime.inputs import text as text_module
from quaterion_runtime.inputs.text import TextPreparer

NAMES = ("input_ids", "attention_mask", "token_type_ids")
SEP, CAT, A = 3, 5, 4  # numbers of [SEP], "cat" and "a" in the golden tokenizer


def preparer(golden, **changes):
    described = {
        "field": None,
        "tokenizer": golden / "text" / "tokenizer-0.json",
        "max_length": 6,
        "pad_id": 7,
        "pad_type_id": 9,
        "pad_left": False,
        "prompts": {"query": "", "document": "passage: "},
        "tensors": {name: name.upper() for name in NAMES},
    }
    return TextPreparer(TextInput(**described | changes))


def test_shorter_texts_are_filled_on_the_right(golden):
    prepared = preparer(golden).prepare(["cat", "a cat a cat a cat"], "query", [0, 1])
    assert prepared.lengths().tolist() == [3, 6]
    batch = prepared.batch([0, 1])
    assert batch["INPUT_IDS"].tolist() == [[2, CAT, SEP, 7, 7, 7], [2, A, CAT, A, CAT, SEP]]
    assert batch["ATTENTION_MASK"].tolist() == [[1, 1, 1, 0, 0, 0], [1] * 6]
    assert batch["TOKEN_TYPE_IDS"].tolist() == [[0, 0, 0, 9, 9, 9], [0] * 6]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int64)}


def test_shorter_texts_are_filled_on_the_left(golden):
    batch = preparer(golden, pad_left=True).prepare(["cat", "a cat a"], "query", [0, 1]).batch([1, 0])
    assert batch["INPUT_IDS"].tolist() == [[2, A, CAT, A, SEP], [7, 7, 2, CAT, SEP]]
    assert batch["ATTENTION_MASK"].tolist() == [[1] * 5, [0, 0, 1, 1, 1]]
    assert batch["TOKEN_TYPE_IDS"].tolist() == [[0] * 5, [9, 9, 0, 0, 0]]


def test_a_batch_is_as_long_as_its_own_longest_text(golden):
    prepared = preparer(golden).prepare(["cat", "a cat a cat", "a"], "query", [0, 1, 2])
    assert prepared.batch([2, 0])["INPUT_IDS"].tolist() == [[2, A, SEP], [2, CAT, SEP]]


def test_a_prompt_counts_as_text(golden):
    prepared = preparer(golden).prepare(["cat a cat"], "document", [0])
    assert prepared.batch([0])["INPUT_IDS"].tolist() == [[2, 9, 10, CAT, A, SEP]]  # cut after the prompt and two words


def test_only_the_inputs_that_the_graph_has_are_made(golden):
    batch = preparer(golden, tensors={"input_ids": "x"}).prepare(["cat"], "query", [0]).batch([0])
    assert batch.keys() == {"x"}


def test_a_text_without_tokens_is_one_of_padding_or_of_the_token_that_stands_in(golden, folder_copy):
    folder = folder_copy("text")
    content = json.loads((folder / "tokenizer-0.json").read_text())
    (folder / "tokenizer-0.json").write_text(json.dumps({**content, "post_processor": None}))
    file = folder / "tokenizer-0.json"
    prepared = preparer(golden, tokenizer=file).prepare(["", "a"], "query", [0, 1])
    assert prepared.batch([0])["INPUT_IDS"].tolist() == [[7]]
    assert prepared.batch([0])["ATTENTION_MASK"].tolist() == [[0]]
    assert prepared.batch([0, 1])["INPUT_IDS"].tolist() == [[7], [A]]
    standing_in = preparer(golden, tokenizer=file, empty_id=SEP).prepare(["", "a cat", " "], "query", [0, 1, 2])
    assert standing_in.lengths().tolist() == [1, 2, 1]
    batch = standing_in.batch([0, 1, 2])
    assert batch["INPUT_IDS"].tolist() == [[SEP, 7], [A, CAT], [SEP, 7]]
    assert batch["ATTENTION_MASK"].tolist() == [[1, 0], [1, 1], [1, 0]]
    assert batch["TOKEN_TYPE_IDS"].tolist() == [[0, 9], [0, 0], [0, 9]]


def test_truncation_and_padding_of_the_file_are_not_used(folder_copy, mean_of):
    folder = folder_copy("two_sided")
    file = folder / "tokenizer-0.json"
    content = json.loads(file.read_text())
    content["truncation"] = {"direction": "Left", "max_length": 2, "strategy": "LongestFirst", "stride": 1}
    content["padding"] = {"strategy": {"Fixed": 20}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 4,
                          "pad_type_id": 0, "pad_token": "a"}  # fmt: skip
    file.write_text(json.dumps(content))
    vectors = Model.load(folder).encode(["cat", "a"])
    np.testing.assert_allclose(vectors, [mean_of("query: cat"), mean_of("query: a")], atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}],
                            "pair": [], "special_tokens": {}}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": False}},
        {"model": {"type": "WordLevel", "vocab": {"cat": 0}, "unk_token": "missing"}},
        {"model": {"type": "Code", "vocab": {}}},
    ],
    ids=["no special tokens", "no table of characters", "no expression", "no unknown token", "no model"],
)  # fmt: skip
def test_a_tokenizer_with_a_part_that_is_wrong_is_refused_when_it_is_loaded(folder_copy, change):
    folder = folder_copy("text")
    file = folder / "tokenizer-0.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(RuntimeFolderError, match=r"tokenizer-0\.json is damaged: .*Export the model again"):
        Model.load(folder)


def test_a_file_too_large_for_a_tokenizer_is_refused(golden, monkeypatch):
    monkeypatch.setattr(text_module, "LARGEST_TOKENIZER", 100)
    with pytest.raises(RuntimeFolderError, match="is larger than 100 bytes: this is no tokenizer"):
        preparer(golden)


def test_half_a_surrogate_pair_is_named(golden):
    with pytest.raises(ValueError, match=r"position 8 has half of a surrogate pair, '\\ud83d'"):
        preparer(golden).prepare(["cat", "a \ud83d"], "query", [7, 8])


def test_bytes_are_no_text(golden):
    with pytest.raises(TypeError, match=r"takes text, got bytes at position 4\. Pass strings"):
        preparer(golden).prepare([b"cat"], "query", [4])


def test_interrupts_are_no_damage(golden, monkeypatch):
    import tokenizers

    class Interrupted:
        @staticmethod
        def from_buffer(_):
            raise KeyboardInterrupt

    monkeypatch.setattr(tokenizers, "Tokenizer", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        preparer(golden)


@pytest.mark.skipif(not hasattr(os, "fork") or threading.active_count() > 1, reason="forks a process without threads")
def test_a_child_process_may_use_the_model_of_its_parent(golden, mean_of):
    import subprocess
    import sys

    code = f"""
import os, sys
from quaterion_runtime import Model
model = Model.load({str(golden / "text")!r}, threads=1)
expected = model.encode(["a cat"] * 50)
child = os.fork()
if not child:
    os._exit(0 if (model.encode(["a cat"] * 50) == expected).all() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60).returncode == 0
