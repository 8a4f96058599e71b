"""A BLIP-2 of a few thousand random weights: the real classes and files, in a folder that opens in a second.

    python -m tests.tiny_blip2 DIR      writes one, for tests and to try `caption` without gigabytes of weights

Its words follow the picture and mean nothing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    OPTConfig,
    PreTrainedTokenizerFast,
)

SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
WORDS = ("a the man woman child dog cat bird car ball tree house street room field river mountain table guitar camera "
         "red green blue yellow black white small large old young walks runs sits stands jumps plays holds looks "
         "speaks in on under near behind with at front and").split()
QUERIES, SIDE, WIDTH = 4, 28, 32


def build(folder: str | Path, seed: int = 0, silent: bool = False) -> Path:
    """Write a model with its tokenizer and image processor into `folder`, which is returned.

    silent : the model that ends every sentence before its first word
    """
    from saliency_bench.models.captioner import PROMPT

    torch.manual_seed(seed)
    asked = re.findall(r"\w+|[^\w\s]+", f"Question: {PROMPT} Answer:")
    ids = {word: i for i, word in enumerate(dict.fromkeys([*SPECIAL.values(), *WORDS, *asked]))}
    words = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **SPECIAL)
    processor = Blip2Processor(BlipImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer, QUERIES)
    model = Blip2ForConditionalGeneration(_config(ids, len(tokenizer))).eval()
    _randomise(model, len(SPECIAL) + len(WORDS), silent)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return Path(folder)


def _config(ids: dict[str, int], size: int) -> Blip2Config:
    layers = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_attention_heads": 2}
    text = OPTConfig(vocab_size=size, hidden_size=WIDTH, word_embed_proj_dim=WIDTH, ffn_dim=WIDTH, num_hidden_layers=1,
                     num_attention_heads=2, max_position_embeddings=160, bos_token_id=ids["<s>"],
                     pad_token_id=ids["<pad>"], eos_token_id=ids["</s>"], tie_word_embeddings=False)
    return Blip2Config(
        vision_config={**layers, "num_hidden_layers": 1, "image_size": SIDE, "patch_size": SIDE // 4},
        qformer_config={**layers, "num_hidden_layers": 2, "vocab_size": 8}, text_config=text.to_dict(),
        num_query_tokens=QUERIES, image_token_index=size - 1)


@torch.no_grad()
def _randomise(model: Blip2ForConditionalGeneration, speakable: int, silent: bool) -> None:
    """Weights large enough that the picture decides the words, which are the tokens below `speakable`."""
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=1.0 if "projection" in name or "query_tokens" in name else 0.3)
    decoder, head = model.language_model.model.decoder, model.language_model.lm_head.weight
    spoken = decoder.final_layer_norm.bias
    nn.init.ones_(spoken)
    head -= head.mean(1, keepdim=True)  # the bias favours no word ...
    head[[0, 1, 3]] = head[speakable:] = -1.0  # ... except against those that are no words
    head[2] = 1.0 if silent else head[2]


def main(folder: str) -> None:
    print(build(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
