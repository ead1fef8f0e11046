"""Reading as a whole."""

import time

import pytest

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.dataset.files import read_samples


def test_texts_with_groups_pairs_and_scored_pairs_become_their_samples(write):
    groups = read_samples(write("a.csv", "utterance,intent\nhi,greet\n"))
    assert (groups.kind, groups[0]) == ("groups", SimilarityGroupSample("hi", "greet"))
    pairs = read_samples(write("b.csv", "question,answer,negative_1,negative_2\nq,a,x,y\n"))
    assert (pairs.kind, pairs[0]) == ("pairs", SimilarityPairSample("q", "a", negatives=["x", "y"]))
    assert pairs.columns == {"anchor": "question", "positive": "answer", "negatives": ("negative_1", "negative_2")}
    scored = read_samples(write("c.csv", "left,right,match\na,b,true\n"), score="match")
    assert (scored.kind, scored[0]) == ("scored pairs", SimilarityPairSample("a", "b", 1.0, negatives=[]))


def test_the_first_bad_row_is_named_and_the_others_counted(write):
    path = write("a.csv", "left,right,score\na,b,1\na,c,x\na,d,y\na,e,z\n")
    message = (
        r"a\.csv, line 3, field 'score': 'x' is no number; expected one such as 0\.5\. 2 more rows are bad\. "
        r"Mend the data, or leave such rows out with skip_bad_rows=True \(--skip-bad-rows\)\."
    )
    with pytest.raises(ValueError, match=message):
        read_samples(path)
    samples = read_samples(path, skip_bad_rows=True)
    assert (len(samples), samples.num_rows, samples.counts["bad"]) == (1, 4, 3)


def test_a_file_of_which_nothing_is_left_is_an_error(write):
    with pytest.raises(ValueError, match=r"a\.csv has no rows below its header"):
        read_samples(write("a.csv", "text,label\n"))
    with pytest.raises(ValueError, match=r"Not one of 2 rows .* line 2, is empty in the field 'label'"):
        read_samples(write("a.csv", "text,label\none,\ntwo,\n"))


def test_a_hundred_thousand_rows_take_about_a_second(write):
    path = write("a.csv", "text,label\n" + "".join(f'"number {n}, of many",group {n % 500}\n' for n in range(100_000)))
    start = time.process_time()
    samples = read_samples(path)
    # Processor time, of which other programs take none; three times what it takes here.
    assert (len(samples), time.process_time() - start < 1.5) == (100_000, True)
