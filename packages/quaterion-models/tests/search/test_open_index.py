import json
import sys

import numpy as np
import pytest

from quaterion_models.search import ExactIndex, IndexFolderError, QdrantIndex, open_index


def test_a_folder_is_opened_as_what_it_was_saved_as(tmp_path):
    index = ExactIndex(2)
    index.add(["a"], [[1, 0]])
    index.save(tmp_path)
    assert isinstance(open_index(tmp_path), ExactIndex)
    assert open_index(str(tmp_path)).contains(["a"]) == [True]


@pytest.mark.parametrize("kind", ["annoy", None, ["exact"]])
def test_another_kind_is_refused(tmp_path, kind):
    ExactIndex(2).save(tmp_path)
    content = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(content | {"kind": kind}))
    with pytest.raises(IndexFolderError, match="names the kind .*, expected one of exact, faiss"):
        open_index(tmp_path)


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(IndexFolderError, match="holds no index: there is no index.json"):
        open_index(tmp_path)


def test_a_folder_of_qdrant_is_opened_with_its_collection(tmp_path):
    pytest.importorskip("qdrant_client")
    index = QdrantIndex(tmp_path, 2, collection="mine")
    index.add(["a"], np.eye(2)[:1])
    index.close()
    opened = open_index(tmp_path, collection="mine")
    assert isinstance(opened, QdrantIndex)
    assert opened.contains(["a"]) == [True]
    opened.close()
    with pytest.raises(IndexFolderError, match="has no collection 'quaterion'"):
        open_index(tmp_path)


def test_without_qdrant_client_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r'qdrant_client is not installed. Type: pip install "quaterion-models\[qd'):
        open_index("http://127.0.0.1:6333")
