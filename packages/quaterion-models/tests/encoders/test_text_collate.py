import threading

import pytest
import torch

from quaterion_models.encoders.sentence_transformer_tokenizer import SentenceTransformerTokenizer
from quaterion_models.encoders.text_collate import TokenCounter
from quaterion_models.encoders.transformers_library import load_tokenizer
from quaterion_models.encoders.transformers_tokenizer import TransformersTokenizer

pytest.importorskip("transformers")

TEXTS = ["word1 word2 word3", "word4", "", "word1 " * 100]


def test_tokens_are_counted_with_special_ones_and_up_to_the_limit(tiny_model):
    tokenizer = load_tokenizer(tiny_model("bert", model_max_length=9), extra="transformers")
    assert TokenCounter(tokenizer)(TEXTS) == [5, 3, 2, 9]
    assert TokenCounter(tokenizer)(TEXTS * 1000) == [5, 3, 2, 9] * 1000
    assert TokenCounter(tokenizer)([]) == []


def test_counting_does_not_disturb_a_thread_that_pads(tiny_model):
    tokenizer = TransformersTokenizer(tiny_model("bert"))
    expected, wrong = tokenizer(TEXTS)["input_ids"], []
    counting = threading.Thread(target=lambda: [tokenizer.lengths(TEXTS) for _ in range(50)])
    counting.start()
    while counting.is_alive():
        wrong += [batch for batch in [tokenizer(TEXTS)["input_ids"]] if not torch.equal(batch, expected)]
    counting.join()
    assert wrong == []


def test_where_no_tokenizer_alone_makes_the_input_characters_are_counted(minilm_folder, tmp_path, copy_model):
    pytest.importorskip("sentence_transformers")
    folder = copy_model(minilm_folder, tmp_path / "model")
    (folder / "modules.json").unlink()  # nothing says what the model does to texts
    assert SentenceTransformerTokenizer(folder).lengths(["ab", "", "abc"]) == [2, 0, 3]
    assert SentenceTransformerTokenizer(minilm_folder).lengths(["ab", "", "abc"]) == [3, 2, 3]
