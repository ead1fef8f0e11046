"""Graphs whose tensors lie elsewhere are found in whatever form they are written; built byte by byte, without onnx."""

from hashlib import blake2b

import pytest

from quaterion_runtime import Model, RuntimeFolderError, onnx_file
from quaterion_runtime.onnx_file import read_graph_file


def varint(number, pad_to=1):
    """A number as protobuf writes it, with as many bytes as asked for: the readers take more than are needed."""
    out = bytearray()
    while number > 127 or len(out) < pad_to - 1:
        out.append((number & 127) | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, content, pad_to=1):
    return varint(number << 3 | 2, pad_to) + varint(len(content), pad_to) + content


LOCATION = field(1, b"location") + field(2, b"/etc/passwd")
EXTERNAL = field(13, LOCATION)  # a tensor's external_data
IN_A_FILE = varint(14 << 3) + varint(1)  # its data_location
TENSORS = [
    EXTERNAL,
    IN_A_FILE,
    field(1, b"\x01") + EXTERNAL,
    field(13, LOCATION, pad_to=4),
    field(13, field(1, b"location", pad_to=3) + field(2, b"x")),
    field(13, b""),
    varint(14 << 3, 3) + varint(1, 5),
    IN_A_FILE + varint(14 << 3) + varint(0),  # set back, and yet: never trust a tensor that says so
]
WAYS = {
    "initializer": lambda tensor: field(7, field(5, tensor)),
    "sparse values": lambda tensor: field(7, field(15, field(1, tensor))),
    "sparse indices": lambda tensor: field(7, field(15, field(2, tensor))),
    "attribute": lambda tensor: field(7, field(1, field(5, field(5, tensor)))),
    "tensors of an attribute": lambda tensor: field(7, field(1, field(5, field(10, tensor)))),
    "sparse attribute": lambda tensor: field(7, field(1, field(5, field(22, field(1, tensor))))),
    "sparse attributes": lambda tensor: field(7, field(1, field(5, field(23, field(2, tensor))))),
    "subgraph": lambda tensor: field(7, field(1, field(5, field(6, field(5, tensor))))),
    "subgraphs": lambda tensor: field(7, field(1, field(5, field(11, field(1, field(5, field(5, tensor))))))),
    "function": lambda tensor: field(25, field(7, field(5, field(5, tensor)))),
    "default of a function": lambda tensor: field(25, field(11, field(5, tensor))),
    "training": lambda tensor: field(20, field(2, field(5, tensor))),
    "start of training": lambda tensor: field(20, field(1, field(5, tensor))),
    "second graph": lambda tensor: field(7, b"") + field(7, field(5, tensor)),
    "long numbers": lambda tensor: field(7, field(5, tensor, pad_to=4), pad_to=5),
}


def read(tmp_path, content):
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    return read_graph_file(file, blake2b(content, digest_size=16).hexdigest())


@pytest.mark.parametrize("way", WAYS)
def test_a_tensor_that_lies_elsewhere_is_found(tmp_path, way):
    for tensor in TENSORS:
        with pytest.raises(RuntimeFolderError, match=r"model\.onnx keeps tensors in other files"):
            read(tmp_path, varint(1 << 3) + varint(8) + WAYS[way](tensor))


def test_what_only_looks_like_one_is_none(tmp_path):
    inside = varint(14 << 3) + varint(0)  # a tensor whose data lie in it, as it says
    named = field(1, b"location")  # an input of that name
    raw = field(9, EXTERNAL + IN_A_FILE)  # data that look like it
    for graph in (field(5, inside), field(1, named), field(5, raw), field(2, EXTERNAL), field(10, EXTERNAL)):
        content = field(7, graph)
        assert read(tmp_path, content) == content


def test_numbers_of_all_wire_types_are_passed_over(tmp_path):
    other = varint(40 << 3 | 5) + b"abcd" + varint(41 << 3 | 1) + b"abcdefgh" + varint(42 << 3) + varint(2**64 - 1)
    assert read(tmp_path, other + field(43, b"text")) == other + field(43, b"text")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (varint(7 << 3 | 2) + varint(10) + b"short", "it ends within a field"),
        (varint(7 << 3 | 1) + b"short", "it ends within a field"),
        (varint(7 << 3 | 5) + b"abc", "it ends within a field"),
        (varint(7 << 3 | 3) + field(5, EXTERNAL) + varint(7 << 3 | 4), "a field of wire type 3"),
        (b"\xba", "it ends within a number"),
        (varint(1 << 3) + b"\xff" * 11, "a number has more than ten bytes"),
        (varint(0 << 3 | 2) + varint(0), "a field without a number"),
        # Readers keep 32 bits of it, and see field 7.
        (varint(2**32 | 7 << 3 | 2) + varint(1) + b"x", "a field without a number"),
        (field(7, b"\x08"), "it ends within a number"),
    ],
)
def test_what_is_no_message_is_refused(tmp_path, content, message):
    with pytest.raises(RuntimeFolderError, match=rf"model\.onnx is no ONNX file: .*{message}"):
        read(tmp_path, content)


def test_graphs_within_graphs_are_refused_at_a_depth(tmp_path):
    def nested(depth):
        graph = b""
        for _ in range(depth):
            graph = field(1, field(5, field(6, graph)))
        return field(7, graph)

    assert read(tmp_path, nested(20))
    with pytest.raises(RuntimeFolderError, match="nested deeper than those of a model"):
        read(tmp_path, nested(500))


def test_files_of_more_fields_than_any_model_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MOST_FIELDS", 5)
    content = varint(1 << 3) + varint(8)
    assert read(tmp_path, content * 5)
    with pytest.raises(RuntimeFolderError, match="it has more than 5 fields"):
        read(tmp_path, content * 6)


def test_files_larger_than_a_message_may_be_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "LARGEST_FILE", 5)
    with pytest.raises(RuntimeFolderError, match="is larger than 5 bytes: this is no ONNX file"):
        read(tmp_path, field(7, b"1234"))


def test_a_file_with_another_checksum_is_not_looked_into(tmp_path):
    (tmp_path / "model.onnx").write_bytes(field(7, field(5, EXTERNAL)))
    with pytest.raises(RuntimeFolderError, match=r"model\.onnx is damaged or truncated: its checksum is another one"):
        read_graph_file(tmp_path / "model.onnx", "0" * 32)


def load(folder, edit, content):
    (folder / "model.onnx").write_bytes(content)
    edit(folder, "graphs", 0, "digest", blake2b(content, digest_size=16).hexdigest())
    return Model.load(folder)


def test_the_other_format_of_onnxruntime_is_not_loaded(folder_copy, edit):
    # Bytes 4 to 8 are what onnxruntime knows it by; as a message of protobuf they lie within an unknown field.
    content = varint(99 << 3 | 2) + varint(60, pad_to=2) + b"ORTM" + bytes(56)
    assert content[4:8] == b"ORTM"
    with pytest.raises(RuntimeFolderError, match="cannot be loaded: .*No graph was found in the protobuf"):
        load(folder_copy("text"), edit, content)


def test_real_graphs_with_weights_in_other_files_are_refused(folder_copy, edit):
    onnx = pytest.importorskip("onnx")
    folder = folder_copy("text")
    model = onnx.load(str(folder / "model.onnx"))
    onnx.save_model(model, str(folder / "model.onnx"), save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(RuntimeFolderError, match="keeps tensors in other files"):
        load(folder, edit, (folder / "model.onnx").read_bytes())
