"""Text encoder: CLIP's text transformer (Radford et al. 2021) with the features of every token, not the
pooled one.

Conventions
-----------
captions : B sentences.
tokens   : (B, L, d) features after the final layer norm, before the projection; L is the longest caption's
           length.
content  : (B, L) bool, False for the start, end and padding tokens (an empty caption keeps its end token).
real     : (B, L) bool, False for padding alone.
pooled   : (B, d) feature at the end token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from saliency_bench.errors import UserError

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "star", "cross")
PLACES = ("upper", "lower", "left", "middle", "right")
VOCABULARY = (
    *COLOURS,
    *SHAPES,
    *PLACES,
    "the",
    "a",
    "an",
    "in",
    "at",
    "of",
    "moves",
    "over",
    "texture",
    "scene",
    "something",
)


class Tokeniser(Protocol):
    """Sentences to token ids; `pad` fills up and `end` closes each sentence."""

    start: int
    end: int
    pad: int
    size: int
    context: int

    def __call__(self, captions: Sequence[str]) -> Tensor:
        """(B, context) int64 ids; a caption that is too long is cut and still ends in `end`."""
        ...

    def pieces(self, caption: str) -> list[str]:
        """What each id between start and end stands for."""
        ...


class WordTokeniser:
    """One id a word of a fixed list, lower case; any other word is one unknown id, those of `skip` are passed over.

    Ids are 0 padding, 1 unknown, 2... the words, then start, then end (the largest, as in CLIP).
    """

    pad, unknown = 0, 1

    def __init__(self, words: Sequence[str] = VOCABULARY, context: int = 12, skip: Sequence[str] = ()):
        if len(set(words)) != len(words):
            raise UserError("text.words: expected distinct words, found a repeated one")
        self.ids = {word: i for i, word in enumerate(words, start=2)}
        self.start, self.end = len(words) + 2, len(words) + 3
        self.size, self.context, self.skip = len(words) + 4, context, frozenset(skip)

    def __call__(self, captions: Sequence[str]) -> Tensor:
        out = torch.full((len(captions), self.context), self.pad)
        for row, caption in zip(out, captions, strict=True):
            ids = [self.start, *(self.ids.get(w, self.unknown) for w in self.pieces(caption)), self.end]
            row[: len(ids)] = torch.tensor(ids)
        return out

    def pieces(self, caption: str) -> list[str]:
        words = (word for word in re.findall(r"[^\W_]+", caption.lower()) if word not in self.skip)
        return list(words)[: self.context - 2]


class ClipTokeniser:
    """CLIP's byte-pair encoding as open_clip packages it; padding id 0."""

    pad = 0

    def __init__(self, model: str = "ViT-B-32"):
        import open_clip

        self._encode = open_clip.get_tokenizer(model)
        self.start, self.end = self._encode.sot_token_id, self._encode.eot_token_id
        self.size, self.context = self._encode.vocab_size, self._encode.context_length

    def __call__(self, captions: Sequence[str]) -> Tensor:
        return self._encode(list(captions))

    def pieces(self, caption: str) -> list[str]:
        ids = self._encode([caption])[0].tolist()
        return [self._encode.decode([i]).strip() for i in ids[1 : ids.index(self.end)]]


class TextFeatures(NamedTuple):
    tokens: Tensor
    content: Tensor
    real: Tensor
    pooled: Tensor


class TextEncoder(nn.Module):
    """open_clip's text transformer behind a tokeniser; equal captions of a batch are encoded once.

    causal : a token sees those before it alone, as in CLIP; otherwise it sees all but padding
    """

    def __init__(self, tokenise: Tokeniser, width: int, heads: int, layers: int, quick_gelu: bool = False,
                 causal: bool = True):
        super().__init__()
        from open_clip.transformer import QuickGELU, TextTransformer  # here: it takes seconds to import

        self.tokenise, self.width = tokenise, width
        self.tower = TextTransformer(
            context_length=tokenise.context, vocab_size=tokenise.size, width=width, heads=heads, layers=layers,
            output_dim=0, proj_type="none", output_tokens=True, pad_id=tokenise.pad, no_causal_mask=not causal,
            use_pad_mask=not causal, act_layer=QuickGELU if quick_gelu else nn.GELU,
        )

    def forward(self, captions: Sequence[str]) -> TextFeatures:
        distinct = list(dict.fromkeys(captions))
        ids = self.tokenise(distinct).to(self.tower.positional_embedding.device)
        pooled, tokens = self.tower(ids)
        # Padding is 0 in both vocabularies, but 0 is a word in CLIP's: only what follows the end token is
        # padding.
        position = torch.arange(ids.shape[1], device=ids.device)
        length = (ids == self.tokenise.end).int().argmax(1)
        # An empty caption keeps its end token, so that attention always has something to look at.
        content = (position > 0) & (position < length[:, None].clamp(min=2))
        keep = int(length.max()) + 1
        rows = torch.tensor([distinct.index(c) for c in captions], device=ids.device)
        real = position <= length[:, None]
        return TextFeatures(tokens[rows, :keep], content[rows, :keep], real[rows, :keep], pooled[rows])


def clip_text(model: str) -> TextEncoder:
    """The text tower of an open_clip model such as "ViT-B-32-quickgelu", randomly initialised.

    Raises `UserError` for a name that open_clip does not know or that has another kind of text tower.
    """
    import open_clip

    config = open_clip.get_model_config(model)
    if config is None or set(config["text_cfg"]) - {
        "context_length",
        "vocab_size",
        "width",
        "heads",
        "layers",
    }:
        raise UserError(f"text.model {model!r}: expected an open_clip model with CLIP's own text tower, "
                        "for example ViT-B-32-quickgelu or ViT-L-14-quickgelu")
    text = config["text_cfg"]
    return TextEncoder(ClipTokeniser(model), text["width"], text["heads"], text["layers"],
                       quick_gelu=bool(config.get("quick_gelu")))
