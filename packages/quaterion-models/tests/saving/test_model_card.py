from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead, SwitchHead
from quaterion_models.saving.model_card import model_card


class Two(Encoder):
    trainable = False
    embedding_size = 2

    def forward(self, batch):
        return batch


def test_names_the_parts_with_their_sizes_and_how_to_load():
    card = model_card(SimilarityModel({"a": Two(), "b": Two()}, EmptyHead(4)))
    assert "| encoder `a` | Two, frozen | 2 |" in card
    assert "| head | EmptyHead | 4 |" in card
    assert 'SimilarityModel.load("path/to/this/folder")' in card
    assert "One embedding for every object" in card


def test_says_when_there_are_two_sides_or_no_head():
    sides = SwitchHead({"query": EmptyHead(2), "document": EmptyHead(2)}, 2)
    assert "`encode_query` and `encode_document`" in model_card(SimilarityModel(Two(), sides))
    assert "no head" in model_card(SimilarityModel(Two(), None))
