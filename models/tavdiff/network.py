"""TAVDiff: saliency maps by diffusion, conditioned on text, audio and visual features (arXiv 2504.14267).

`TAVDiff` is the network with its training loss and its sampler; `TAVDiffModel` is what the harness loads.
The mode decides which conditions exist; nothing stands in for a modality outside the mode:

    TAV  sound tokens and the image-text response      AV  sound tokens and visual tokens
    TV   the image-text response                       TA  sound tokens and text tokens
    V    visual tokens
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.data.clip import MODALITIES
from saliency_bench.data.target import Lessons, resize_density
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.diffusion import Diffusion, noise_of, training_draw
from saliency_bench.models.encoders.convert import load_encoder
from saliency_bench.models.encoders.pretrained import clip_text_weights, s3d_weights, soundnet_weights
from saliency_bench.models.encoders.s3d import S3D, output_size
from saliency_bench.models.encoders.soundnet import SoundNet, tune_first_layer
from saliency_bench.models.encoders.text import TextEncoder, TextFeatures, WordTokeniser, clip_text
from saliency_bench.models.tavdiff.conditions import Conditions, Packer
from saliency_bench.models.tavdiff.config import TAVDiffConfig
from saliency_bench.models.tavdiff.denoisers import MapTransformer
from saliency_bench.models.tavdiff.grounding import grounded, grounding_loss
from saliency_bench.models.tavdiff.sitr import SITR, Grid
from saliency_bench.models.tavdiff.sound_response import SoundResponse
from saliency_bench.models.tavdiff.unet import UNet

Seen = tuple[Tensor, Grid]  # visual tokens (B, N, channels) and where they are
MODES = ("TAV", "AV", "TV", "TA", "V")


class TAVDiff(nn.Module):
    """The network of one mode.

    With `pretrained` off the encoder weights that the config names are not read: the caller loads all weights.
    """

    def __init__(self, config: TAVDiffConfig, mode: str, pretrained: bool = True):
        super().__init__()
        if mode not in MODES:
            raise UserError(f"tavdiff has no mode {mode}; it has {', '.join(MODES)}")
        self.config, self.mode = config, mode
        self.diffusion = Diffusion(config.diffusion)
        c, inputs = config, {}
        reference = (c.window.map_size[0] // c.denoiser.patch, c.window.map_size[1] // c.denoiser.patch)
        if "V" in mode:
            self.visual = S3D(c.visual.width, c.visual.layer, c.visual.strides, momentum=c.visual.momentum)
            channels = self.visual.channels[c.visual.layer]
            if c.visual.time == "stack":
                channels *= output_size((c.window.frames, *c.window.size), c.visual.layer, c.visual.strides)[0]
            self.visual_channels = channels
            inputs["visual"] = c.sitr.width if "T" in mode else channels
        if "T" in mode:
            self.text = text_encoder(c, pretrained)
            if "V" in mode:
                self.sitr = SITR(channels, self.text.width, c.sitr, c.denoiser.token_norm, reference,
                                 c.denoiser.position_base)
            else:
                inputs["text"] = self.text.width
        audio_tokens = 0
        if "A" in mode:
            self.audio = SoundNet(c.audio.channels, c.audio.layer, momentum=c.audio.momentum)
            if c.audio.filters == "tones":
                tune_first_layer(self.audio, c.audio.rate)
            inputs["audio"] = self.audio.channels[-1]
            audio_tokens = self._audio_length()
            if "V" in mode and c.audio.response == "residual":
                self.respond = SoundResponse(channels, inputs["audio"], audio_tokens, c.sitr.width, reference,
                                             c.denoiser.position_base)
        if c.grounding.alone and not (grounded(self) and {*grounded(self), "V"} == set(mode)):
            raise UserError("grounding.alone: expected a mode with V in which words and sounds respond to places, "
                            f"found tavdiff({mode}) with sitr.fusion = {c.sitr.fusion} and audio.response = "
                            f"{c.audio.response}; leave it out")
        # The response scales visual tokens, which a norm after it would undo: there SITR normalises its values.
        normalise = [k for k in inputs if c.denoiser.token_norm and not (k == "visual" and "T" in mode)]
        self.pack = Packer(inputs, c.denoiser.width, reference, c.denoiser.position_base, audio_tokens,
                           normalise)
        sequences = 1 if c.denoiser.packing == "joint" else len(inputs)
        network = UNet if c.denoiser.kind == "unet" else MapTransformer
        self.denoiser = network(c.denoiser, c.window.map_size, sequences)
        if pretrained:
            self._read_encoders()
        for name in c.frozen:
            if hasattr(self, name):
                getattr(self, name).requires_grad_(False)

    def train(self, mode: bool = True) -> TAVDiff:
        """Training mode for all but the frozen encoders, whose statistics stay as they are."""
        super().train(mode)
        for name in self.config.frozen:
            if hasattr(self, name):
                getattr(self, name).eval()
        return self

    def conditions(self, batch: WindowBatch, density: Tensor | None = None, seen: Seen | None = None) -> Conditions:
        """Encode the windows; `density` (B, h, w) lets SITR choose its word in training, `seen` is `see(batch)`.

        With `grounding.alone` the maps are made from sight, whatever else the mode has.
        """
        self._require(batch)
        tokens: dict[str, Tensor] = {}
        grid = mask = raised = None
        if "V" in self.mode:
            visual, grid = self.see(batch) if seen is None else seen
            tokens["visual"] = visual
        if self.config.grounding.alone and grid is not None:
            if "T" in self.mode:
                tokens["visual"] = self.sitr.values(visual)
            if "A" in self.mode:
                tokens["audio"] = visual.new_zeros(len(batch), self._audio_length(), self.audio.channels[-1])
            return self.pack(tokens, grid)
        if "T" in self.mode:
            assert batch.captions is not None
            words = self.text(batch.captions)
            if grid is not None:
                tokens["visual"] = self.sitr(visual, grid, words.tokens, self._allowed(words), words.pooled,
                                             density)
            else:
                tokens["text"], mask = words.tokens, words.content
        if "A" in self.mode:
            assert batch.audio is not None
            tokens["audio"] = self.hear(batch.audio)
            if hasattr(self, "respond"):
                raised = self.respond(visual, grid, tokens["audio"])
        return self.pack(tokens, grid, mask, raised)

    @torch.no_grad()
    def responses(self, batch: WindowBatch) -> list[tuple[list[str], Tensor, list[bool]]]:
        """Of each window: the caption's words, their response maps (words, h, w) in the mean over heads and time
        steps, and which of them SITR chooses (with `select_heads = "each"` maybe several).
        """
        if not hasattr(self, "sitr") or self.sitr.config.fusion != "sitr":
            raise UserError(f"tavdiff({self.mode}): expected a network whose words respond to the image, found none; "
                            "choose a mode with T and V and sitr.fusion = sitr")
        self._require(batch)
        visual, grid = self.see(batch)
        words, out = self.text(batch.captions), []
        maps, chosen = self.sitr.choose(visual, grid, words.tokens, self._allowed(words))
        for caption, response, index, content in zip(batch.captions or [], maps.mean(1), chosen, words.content,
                                                     strict=True):
            at = content.nonzero()[:, 0].tolist()
            pieces = self.text.tokenise.pieces(caption) or [""]
            out.append((pieces, response[at].unflatten(-1, grid).mean(1), [i in index.tolist() for i in at]))
        return out

    def loss(self, batch: WindowBatch, density: Tensor, lessons: Lessons | None = None, *, noise: Tensor | None = None,
             t: Tensor | None = None) -> Tensor:
        """Mean squared error between the map and its prediction from a noised one (Algorithm 1, eq. 8).

        density  : (B, h, w), any positive scale; resized to the map size and divided by its maximum
        lessons  : which objects words and sounds mean, for the loss of grounding.py, which is added
        noise, t : (B, H, W) and (B,) in 0..999; where they are not given each window's seed draws its own
        Windows whose density is zero everywhere have no target and are left out of the mean.
        """
        density = density.to(next(self.denoiser.parameters()))
        size = self.config.window.map_size
        signal, valid = self.diffusion.target(density, size)
        drawn_t, drawn_noise = training_draw(batch.seeds, size, signal.device)
        t, noise = drawn_t if t is None else t, drawn_noise if noise is None else noise
        t, noise = t.to(signal.device), noise.to(signal)
        self._require(batch)
        seen = self.see(batch) if "V" in self.mode else None
        grounding, pointing = self.config.grounding, 0.0
        if grounding.weight and lessons is not None and seen is not None:
            pointing = grounding.weight * grounding_loss(self, *seen, lessons, grounding.places)
        elif grounding.alone and self.training:
            raise UserError("grounding.alone: expected a training set with lessons, such as avt-causal, found none; "
                            "leave it out")
        prepared = self.denoiser.prepare(self.conditions(batch, resize_density(density, size), seen))
        predicted = self._activate(self.denoiser(*self.diffusion.noised(signal, noise, t), prepared))
        error = (predicted - signal).square().flatten(1).mean(1)
        return (error * valid).sum() / valid.sum().clamp_min(1) + pointing

    @torch.no_grad()
    def sample(self, batch: WindowBatch, steps: int | None = None, noise: Tensor | None = None) -> Tensor:
        """Maps (B, H, W) in [0, 1]; `noise` is (samples, B, H, W) or (B, H, W), the samples are averaged.

        Without `noise` each window draws its own from `batch.seeds`.  Conditions and their keys and values
        are computed once, whatever the number of steps and samples, and what depends on the time alone once a step.
        """
        noise = self.noise(batch) if noise is None else noise
        noise = noise.unsqueeze(0) if noise.ndim == 3 else noise
        with self._autocast():
            prepared = self.denoiser.prepare(self.conditions(batch))

        def predict(x: Tensor, t: int) -> Tensor:
            with self._autocast():
                return self._activate(self.denoiser(x, t, prepared)).float()

        steps = steps or self.config.sampling.steps
        device = next(self.denoiser.parameters()).device
        maps = [self.diffusion.sample(predict, x.to(device), steps) for x in noise]
        return torch.stack(maps).mean(0)

    def _autocast(self) -> torch.autocast:
        """The precision of sampling's products."""
        device = next(self.denoiser.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.config.sampling.precision == "bf16")

    def noise(self, batch: WindowBatch) -> Tensor:
        """Gaussian noise (samples, B, H, W) that depends on each window's seed alone."""
        return noise_of(batch.seeds, self.config.window.map_size, self.config.sampling.samples)

    def see(self, batch: WindowBatch) -> Seen:
        """Visual tokens (B, N, channels) and their grid (time, rows, columns)."""
        features = self.visual.see(batch, (self.visual.last,))[self.visual.last]
        if self.config.visual.time == "mean":
            features = features.mean(2, keepdim=True)
        elif self.config.visual.time == "stack":
            features = features.flatten(1, 2).unsqueeze(2)
        return features.flatten(2).transpose(1, 2), (features.shape[2], features.shape[3], features.shape[4])

    def _allowed(self, words: TextFeatures) -> Tensor:
        return words.real if self.config.sitr.special_tokens else words.content

    def _activate(self, x: Tensor) -> Tensor:
        return self.diffusion.signal(x.sigmoid()) if self.config.denoiser.output == "sigmoid" else x

    def hear(self, wave: Tensor) -> Tensor:
        """Sound tokens (B, n, channels) of excerpts (B, samples)."""
        x = self.audio(wave)
        if self.config.audio.final_pool:
            x = F.max_pool1d(x, 2)
        return x.transpose(1, 2)

    def _audio_length(self) -> int:
        """Number of sound tokens of a full buffer; raises `UserError` where the buffer is too short for any."""
        length = self.audio.length(self.config.audio.buffer)
        length = length // 2 if self.config.audio.final_pool else length
        if length < 1:
            raise UserError(f"audio.buffer {self.config.audio.buffer}: too short for layer "
                            f"{self.config.audio.layer} of SoundNet; use a longer buffer or an earlier audio.layer")
        return length

    def _require(self, batch: WindowBatch) -> None:
        have = {"T": batch.captions, "A": batch.audio, "V": batch.frames}
        for modality in self.mode:
            if have[modality] is None:
                raise UserError(
                    f"tavdiff({self.mode}) needs {MODALITIES[modality]}, which the input does not have; "
                    "choose a mode that the input can feed"
                )

    def _read_encoders(self) -> None:
        """Weights of the encoders for which the config names a source."""
        for name, weights in (("visual", s3d_weights), ("audio", soundnet_weights)):
            source = getattr(self.config, name).weights
            if source is not None and hasattr(self, name):
                load_encoder(getattr(self, name), weights(source), source)


def text_encoder(config: TAVDiffConfig, pretrained: bool = True) -> TextEncoder:
    """The text encoder of a config; a CLIP tower without weights is refused unless text.random is set."""
    c = config.text
    if c.kind == "words":
        encoder = TextEncoder(WordTokeniser(c.words, c.context, c.skip), c.width, c.heads, c.layers, causal=c.causal)
        with torch.no_grad():
            for embedding in (encoder.tower.token_embedding.weight, encoder.tower.positional_embedding):
                embedding.mul_(c.embed_scale)
        return encoder
    if pretrained and c.weights is None and not c.random:
        raise UserError(
            f"text.weights: expected the weights of CLIP's text tower ({c.model}), found none set; give --set "
            "text.weights=openai for open_clip's (which its cache has to hold), or =FILE, or --set text.random=true "
            "for random ones"
        )
    encoder = clip_text(c.model)
    if pretrained and c.weights is not None:
        load_encoder(encoder.tower, clip_text_weights(c.weights, c.model), c.weights)
    return encoder
