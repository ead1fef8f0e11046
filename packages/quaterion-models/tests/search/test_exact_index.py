import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from quaterion_models.search import ExactIndex


def test_searching_needs_no_torch():
    code = (
        "import sys, quaterion_models.search as s; i = s.ExactIndex(2); i.add(['a'], [[1.0, 2.0]]); "
        "assert i.search([[1.0, 2.0]])[0][0].id == 'a'; "
        "print([m for m in ('torch', 'safetensors', 'faiss', 'qdrant_client') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_threads_may_search_at_once():
    random = np.random.default_rng(0)
    index = ExactIndex(16)
    index.add(range(3000), random.standard_normal((3000, 16)), [{"group": row % 7} for row in range(3000)])
    queries = random.standard_normal((40, 16))
    expected = [index.search(query[None], 5) for query in queries]
    filtered = [
        [[hit for hit in index.search(query[None], 3000)[0] if hit.payload["group"] == 2][:5]] for query in queries
    ]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: index.search(query[None], 5), queries)) == expected
        found = list(pool.map(lambda query: index.search(query[None], 5, {"group": 2}), queries))
    assert found == filtered
