"""Text: features of every token, two vocabularies, checkpoints of two libraries."""

import pytest
import torch
from open_clip.transformer import QuickGELU, TextTransformer
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from saliency_bench.errors import UserError
from saliency_bench.models.encoders.convert import convert_clip_text, load_encoder
from saliency_bench.models.encoders.text import (
    COLOURS,
    PLACES,
    SHAPES,
    ClipTokeniser,
    TextEncoder,
    WordTokeniser,
    clip_text,
)


class Small:
    """CLIP's ids under a short context, to keep towers small."""

    start, end, pad, size, context = 98, 99, 0, 100, 10

    def __call__(self, captions):
        rows = [[self.start, *(1 + ord(c) % 90 for c in text), self.end] for text in captions]
        return torch.tensor([row + [self.pad] * (self.context - len(row)) for row in rows])


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return TextEncoder(WordTokeniser(), 32, 4, 2).eval()


def test_every_word_of_the_caption_grammar_is_known():
    tokenise = WordTokeniser()
    for word in (*COLOURS, *SHAPES, *PLACES):
        assert tokenise.unknown not in tokenise([f"a {word}"])


def test_words_outside_the_list_share_one_id_and_case_does_not_matter():
    ids = WordTokeniser()(["a zebra", "A Giraffe!"])
    assert torch.equal(ids[0], ids[1]) and WordTokeniser.unknown in ids


def test_a_long_caption_is_cut_and_still_ends():
    tokenise = WordTokeniser(context=5)
    ids = tokenise(["a red circle in the upper left"])
    assert ids.shape == (1, 5) and ids[0, 0] == tokenise.start and ids[0, -1] == tokenise.end


def test_repeated_words_in_the_list_are_refused():
    with pytest.raises(UserError, match="distinct"):
        WordTokeniser(("red", "red"))


def test_content_leaves_out_start_end_and_padding(encoder):
    features = encoder(["a red circle, upper left", "a star", ""])
    assert features.content.sum(1).tolist() == [5, 2, 1]
    assert not features.content[:, 0].any()


def test_real_tokens_are_all_but_padding_whatever_else_is_in_the_batch(encoder):
    assert encoder(["a red circle, upper left", "a star", ""]).real.sum(1).tolist() == [7, 4, 2]
    assert encoder(["a star"]).real.tolist() == [[True] * 4]


def test_features_do_not_depend_on_the_other_captions(encoder):
    alone = encoder(["a star"]).tokens[0]
    together = encoder(["a red circle, upper left", "a star"]).tokens[1]
    assert torch.allclose(alone[:4], together[:4], atol=1e-6)


def test_equal_captions_are_encoded_once(encoder):
    sizes = []
    encoder.tower.register_forward_hook(lambda module, given, out: sizes.append(len(given[0])))
    features = encoder(["a star"] * 5 + ["a circle"])
    assert sizes == [2] and torch.equal(features.tokens[0], features.tokens[4])


def test_the_pooled_feature_is_that_of_the_end_token(encoder):
    features = encoder(["a star"])
    assert torch.equal(features.pooled[0], features.tokens[0, 3])


def test_clip_tokens_come_without_a_network():
    tokenise = ClipTokeniser()
    ids = tokenise(["a red circle"])
    assert ids.shape == (1, 77)
    assert ids[0, 0] == 49406 and ids[0, 4] == 49407 and ids[0, 5:].sum() == 0


@pytest.mark.slow
def test_the_clip_tower_has_the_published_number_of_parameters():
    projection = 512 * 512
    assert sum(p.numel() for p in clip_text("ViT-B-32-quickgelu").parameters()) + projection == 63_428_096


def test_an_unknown_clip_model_is_refused():
    with pytest.raises(UserError, match="ViT-B-32-quickgelu"):
        clip_text("ViT-nonsense")


def test_weights_of_transformers_give_the_features_of_transformers():
    torch.manual_seed(0)
    tokenise = Small()
    theirs = CLIPTextModel(CLIPTextConfig(vocab_size=100, hidden_size=32, intermediate_size=128, num_hidden_layers=2,
                                          num_attention_heads=4, max_position_embeddings=10, eos_token_id=99,
                                          attn_implementation="eager")).eval()
    ours = TextEncoder(tokenise, 32, 4, 2, quick_gelu=True).eval()
    load_encoder(ours.tower, convert_clip_text(theirs.state_dict()), "transformers")
    captions = ["red", "a bird"]
    with torch.inference_mode():
        expected = theirs(input_ids=tokenise(captions)).last_hidden_state
        found = ours(captions).tokens
    assert torch.allclose(found, expected[:, : found.shape[1]], atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "text.", "module."])
def test_weights_of_open_clip_are_read(prefix):
    tower = TextTransformer(10, 100, 32, 4, 2, output_dim=16, act_layer=QuickGELU)
    state = {prefix + k: v for k, v in tower.state_dict().items()} | {"visual.conv1.weight": torch.zeros(1)}
    ours = TextEncoder(Small(), 32, 4, 2, quick_gelu=True)
    load_encoder(ours.tower, convert_clip_text(state), "open_clip")
    assert torch.equal(ours.tower.ln_final.weight, tower.ln_final.weight)
    assert isinstance(ours.tower, nn.Module)
