import pickle

import pytest

from quaterion_models.encoders.pretrained_collate import PretrainedCollate, ToolError
from quaterion_models.fingerprint import digest_of


class Vocabulary(PretrainedCollate):
    """Numbers of words, from a file with one word a line."""

    def files(self):
        return [self.folder / "vocab.txt"]

    def load(self):
        return {word: number for number, word in enumerate((self.folder / "vocab.txt").read_text().split())}

    def collate(self, tool, objects):
        return [tool[word] + self.settings["first"] for word in objects]


@pytest.fixture
def vocabulary(tmp_path):
    (tmp_path / "vocab.txt").write_text("a b")
    return Vocabulary(tmp_path, first=10)


def test_the_tool_is_loaded_once_and_left_out_of_pickles(vocabulary):
    assert vocabulary(["b", "a"]) == [11, 10]
    assert vocabulary.tool() is vocabulary.tool()
    copied = pickle.loads(pickle.dumps(vocabulary))
    assert copied._tool is None
    assert copied(["b"]) == [11]


def test_the_fingerprint_is_that_of_settings_and_files_wherever_they_lie(vocabulary, tmp_path):
    before = vocabulary.fingerprint()
    vocabulary(["a"])
    assert vocabulary.fingerprint() == before
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "vocab.txt").write_text("a b")
    assert Vocabulary(tmp_path / "copy", first=10).fingerprint() == before
    assert Vocabulary(tmp_path, first=11).fingerprint() != before
    (tmp_path / "vocab.txt").write_text("a c")
    assert vocabulary.fingerprint() != before


def test_a_function_around_it_has_its_fingerprint(vocabulary, tmp_path):
    def around(objects):
        return vocabulary([word.lower() for word in objects])

    before = digest_of(around)
    assert around(["A"]) == [10]
    assert digest_of(around) == before
    (tmp_path / "vocab.txt").write_text("a c")
    assert digest_of(around) != before


def test_a_tool_that_cannot_be_loaded_is_told_from_an_object_that_cannot_be_read(tmp_path):
    class Damaged(Vocabulary):
        def load(self):
            raise ValueError("the vocabulary is damaged")

    with pytest.raises(ToolError, match="^the vocabulary is damaged$"):
        Damaged(tmp_path, first=1)(["a"])
    with pytest.raises(ToolError, match=r"No such file .*vocab\.txt"):
        Vocabulary(tmp_path, first=1)(["a"])
