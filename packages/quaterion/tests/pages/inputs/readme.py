"""README.md of the repository."""


def check(run):
    vectors = (
        run.names["SimilarityModel"].load("intents").encode(["Where is my card?"])
        if "SimilarityModel" in run.names
        else None
    )
    assert vectors is None or vectors.shape[0] == 1
