"""Loading and running a graph."""

import gc
import os
import subprocess
import sys

import numpy as np
import psutil
import pytest

from quaterion_runtime import Model, RuntimeFolderError
from quaterion_runtime.folder import read_folder
from quaterion_runtime.session import GraphSession


def session(folder, size=4):
    (graph,) = read_folder(folder).graphs
    return GraphSession(graph, size, 1, ["CPUExecutionProvider"])


def test_a_batch_has_the_inputs_of_all_preparers(golden):
    graph = session(golden / "joined", 6)
    records = [{"title": "a cat", "numbers": [1, 2]}, {"title": "cat", "numbers": [3, 4]}]
    prepared = graph.prepare(records, "query", [0, 1])
    batch = graph.batch(prepared, [1])
    assert {name: array.tolist() for name, array in batch.items()} == {
        "input_ids": [[2, 5, 3]],
        "attention_mask": [[1, 1, 1]],
        "numbers": [[3, 4]],
    }
    assert graph.run(batch, 1, "query").shape == (1, 6)


def test_embeddings_of_another_size_or_number_are_named(golden):
    graph = session(golden / "text", 5)
    batch = graph.batch(graph.prepare(["cat"], "query", [0]), [0])
    with pytest.raises(RuntimeFolderError, match=r"gave float32 \[1, 4\] for 1 objects, expected float32 \[1, 5\]"):
        graph.run(batch, 1, "query")
    with pytest.raises(RuntimeFolderError, match=r"gave float32 \[1, 4\] for 2 objects"):
        session(golden / "text").run(batch, 2, "query")


def test_embeddings_that_are_no_numbers_are_named(golden):
    graph = session(golden / "joined", 6)
    batch = graph.batch(graph.prepare([{"title": "a", "numbers": [1, 2]}], "query", [0]), [0])
    batch["numbers"] = np.array([[1, np.nan]], dtype=np.float32)
    with pytest.raises(RuntimeFolderError, match=r"model\.onnx gave NaN or infinite components for a batch of 1"):
        graph.run(batch, 1, "query")


def test_inputs_and_outputs_that_the_graph_lacks_are_named(folder_copy, edit):
    folder = folder_copy("text")
    edit(folder, "graphs", 0, "inputs", 0, "tensors", {"input_ids": "input_ids", "attention_mask": "mask"})
    with pytest.raises(RuntimeFolderError, match=r"has the inputs \['attention_mask', 'input_ids'\], the folder names"):
        session(folder)


def test_nothing_is_written_to_standard_error_when_a_graph_fails(golden):
    code = f"""
from quaterion_runtime import Model
model = Model.load({str(golden / "text")!r})
session = model._sessions[0]
batch = session.batch(session.prepare(["cat"], "query", [0]), [0])
batch["input_ids"][0, 1] = 99
try:
    session.run(batch, 1, "query")
except Exception as error:
    print("indices element out of data bounds" in str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("True", "")


@pytest.mark.parametrize("providers", [["NoSuchProvider"], [], "CPUExecutionProvider", ["CPUExecutionProvider", "X"]])
def test_providers_that_are_not_here_are_refused(golden, providers):
    with pytest.raises(ValueError, match=r"providers must be some of \[.*'CPUExecutionProvider'.*, got "):
        Model.load(golden / "text", providers=providers)


def test_a_provider_may_come_with_options(golden):
    assert Model.load(golden / "text", providers=[("CPUExecutionProvider", {})]).encode("cat").shape == (1, 4)


def test_the_file_is_not_kept_in_memory(folder_copy, edit):
    onnx = pytest.importorskip("onnx")
    from hashlib import blake2b

    folder = folder_copy("text")
    graph = onnx.load(str(folder / "model.onnx"))
    size = 2**26
    large = np.zeros(size // 4, dtype=np.float32)
    graph.graph.initializer.append(onnx.numpy_helper.from_array(large, "unused"))  # which onnxruntime drops
    content = graph.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    edit(folder, "graphs", 0, "digest", blake2b(content, digest_size=16).hexdigest())
    del graph, large, content
    Model.load(folder)
    gc.collect()
    before = psutil.Process(os.getpid()).memory_info().rss
    model = Model.load(folder)
    gc.collect()
    assert psutil.Process(os.getpid()).memory_info().rss - before < size // 2
    assert model.encode("cat").shape == (1, 4)
