"""`NetworkModel`: a network with presets, recipes and weights on disk, as the harness loads, trains and saves it.

A system subclasses it with its network and config:

    class MyModel(NetworkModel):
        name, modes = "my-model", ("V",)
        config_type, home = MyConfig, Path(__file__).with_suffix(".toml")

        @classmethod
        def build(cls, config, mode):                   # the network; called with windows it gives logits (B, H, W)
            return MyNetwork(config)

`home` is the system's TOML: its card, with a table for every preset.  Systems whose authors published code say how to
rename their checkpoints (`convert`) and which presets are their networks (`published`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from saliency_bench import registry
from saliency_bench.data.target import Target
from saliency_bench.errors import UserError
from saliency_bench.models import checkpoints
from saliency_bench.models.adapter import LoadOptions, Recipe, SlidingWindowModel, WindowBatch
from saliency_bench.models.config import NetworkConfig, parse, read_toml
from saliency_bench.models.encoders.convert import State, read_checkpoint
from saliency_bench.models.encoders.soundnet import SoundNet
from saliency_bench.models.losses import saliency_loss
from saliency_bench.models.weights import (
    Taken,
    describe_weights,
    fill,
    read_weights,
    save_weights,
    take_over,
    tensors_of,
    weights_name,
    windows_of,
)


class NetworkModel(SlidingWindowModel):
    """A network of one mode, see the module docstring.

    Options: `preset`, fields of `run_fields`, and `untrained=true` for random weights, which then allows every field.
    """

    config_type: ClassVar[type[Any]] = NetworkConfig
    home: ClassVar[Path]
    published: ClassVar[tuple[str, ...]] = ()
    run_fields: ClassVar[tuple[str, ...]] = ("window.first", "window.last")
    short: ClassVar[Mapping[str, str]] = {}
    def __init__(self, network: nn.Module, config: Any, mode: str, record: Mapping[str, Any] | None = None):
        super().__init__()
        self.network, self.config, self.record, self.mode = network, config, dict(record or {}), mode
        self.trained_on = tuple(str(name) for name in self.record.get("trained_on", ()))
        # Of what started from an authors' checkpoint: nobody wrote down what that had seen.
        self.unknown_training = bool(self.record.get("unknown_training", False))
        self.had_lessons = bool(self.record.get("lessons", False))  # some of its training windows, see `Lessons`
        self.windows_seen = windows_of(self.record)  # training windows, those of weights it started from included
        self.window = config.adapter_window(mode)
        self.blur = float(getattr(config, "blur", 0.0))

    # What a system says of itself

    @classmethod
    def build(cls, config: Any, mode: str) -> nn.Module:
        """The network of a mode with random weights."""
        raise NotImplementedError(f"{cls.__name__} does not define build(config, mode)")

    @classmethod
    def built(cls, config: Any, mode: str) -> nn.Module:
        """`build`, where settings that do not fit together raise `UserError`."""
        try:
            network = cls.build(config, mode)
        except ValueError as error:
            raise UserError(f"{cls.name}: {' '.join(str(error).split())}; change the settings") from None
        for part in network.modules():
            if isinstance(part, SoundNet) and hasattr(config, "sound") and part.length(config.sound.buffer) < 1:
                raise UserError(f"{cls.name}: sound.buffer {config.sound.buffer}: too short for layer {part.last} of "
                                "SoundNet; use a longer buffer or an earlier audio.layer")
        return network

    @classmethod
    def convert(cls, state: State) -> State:
        """Tensors of the authors' checkpoint in the names of `build`'s network."""
        return checkpoints.strip(state)

    @classmethod
    def authors_name(cls, name: str, config: Any) -> str:
        """What the authors' checkpoints call a tensor of `build`'s network, for messages: `convert` backwards."""
        return name

    @classmethod
    def unlearned(cls, state: Mapping[str, Tensor], mode: str) -> str:
        """Why converted tensors that fit were yet not trained for `mode`, and what to do; "" where nothing says so."""
        return ""

    def read_encoders(self) -> None:
        """Read pretrained encoders that the config names, before a training."""

    def forward(self, batch: WindowBatch) -> Tensor:
        """Maps (B, H, W) in [0, 1]."""
        self.require(batch)
        return self.network(batch).sigmoid()

    def loss(self, batch: WindowBatch, target: Target) -> Tensor:
        """Training loss of windows with their truth; the config's `loss` weighs its terms."""
        self.require(batch)
        return saliency_loss(self.network(batch), target, self.config.loss)

    # What follows from it

    @classmethod
    def presets(cls) -> list[str]:
        return sorted(read_toml(cls.home)["presets"])

    @classmethod
    def load_preset(cls, name: str, overrides: Mapping[str, Any] | None = None) -> Any:
        """The preset `name` with dotted fields replaced, e.g. {"window.frames": 8}."""
        known = read_toml(cls.home)["presets"]
        if name not in known:
            raise UserError(f"{cls.name} preset {name!r}: expected one of {', '.join(sorted(known))}")
        return parse(cls.config_type, known[name] | {"preset": name}, overrides, f"{cls.name} preset {name}")

    @classmethod
    def parse(cls, values: Mapping[str, Any], overrides: Mapping[str, Any] | None, source: str) -> Any:
        return parse(cls.config_type, values, overrides, source)

    @classmethod
    def load(cls, options: LoadOptions) -> Self:
        """Weights given, shipped or, if asked, random; those of another system, mode or preset raise `UserError`."""
        settings = {cls.short.get(k, k): v for k, v in options.options.items()}
        preset = settings.pop("preset", None)
        untrained = boolean(cls.name, "untrained", settings.pop("untrained", False))
        if options.mode not in cls.modes:
            raise UserError(f"{cls.name} has no mode {options.mode}; it has {', '.join(cls.modes)}")
        if untrained:
            return cls._random(options, str(preset or "nano"), settings)
        for field in settings:
            if not any(field == f or (f.endswith(".") and field.startswith(f)) for f in cls.run_fields):
                takes = ["preset", *({v: k for k, v in cls.short.items()}.get(f, f) for f in cls.run_fields)]
                raise UserError(f"{cls.name}: {field} is not an option of trained weights; they take "
                                f"{', '.join(takes[:-1])} and {takes[-1]}")
        path = options.weights or cls.shipped(str(preset or "nano"), options.mode)
        if cls._foreign(path):
            return cls._authors(path, options, preset, settings)
        if preset is not None and (found := cls._describe(path)["config"].get("preset")) != preset:
            raise UserError(f"{path}: expected weights of preset {preset}, found preset {found}; leave out the preset "
                            "or give other weights")
        model = cls.read(path, options.mode, settings)
        model.weights = cls.weights_name(path)
        return model.setup(options)

    @classmethod
    def read(cls, path: Path, mode: str | None = None, overrides: Mapping[str, Any] | None = None) -> Self:
        """The model that `save` wrote, in evaluation mode."""
        description, data = read_weights(path, cls.name, mode)
        config = cls.parse(description["config"], None, str(Path(path).with_suffix(".toml")))
        if overrides:  # a mistake in these is the caller's, not the file's
            config = cls.parse(description["config"], overrides, cls.name)
        network = cls.built(config, str(description["mode"]))
        fill(network, data, path, cls.name)
        return cls(network, config, str(description["mode"]), description["record"]).eval()

    @classmethod
    def _random(cls, options: LoadOptions, preset: str, settings: Mapping[str, Any]) -> Self:
        if options.weights is not None:
            raise UserError(f"{cls.name}: untrained=true and weights {options.weights} exclude each other; leave one "
                            "out")
        config = cls.load_preset(preset, settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            model = cls(cls.built(config, options.mode), config, options.mode)
        model.weights, model.trained = f"untrained, seed {options.seed}", False
        return model.setup(options)

    @classmethod
    def _authors(cls, path: Path, options: LoadOptions, preset: Any, settings: Mapping[str, Any]) -> Self:
        """The authors' checkpoint in the preset that it fits."""
        if preset is not None and preset not in cls.published:
            raise UserError(f"{path}: has no TOML beside it, so it is read as a checkpoint of the authors, expected in "
                            f"preset {' or '.join(cls.published)}, found preset {preset}")
        raw = read_checkpoint(Path(path))
        presets = cls.published if preset is None else (str(preset),)
        found, chosen = max(((cls._fit(raw, name, options.mode, settings), name) for name in presets),
                            key=lambda x: x[0].score)
        if not found.exact:
            raise UserError(f"{path}: expected the weights of {cls.name}({options.mode}), preset {chosen}, found "
                            f"{found}; nothing was loaded; {_advice(raw, cls.name)}")
        config = cls.load_preset(chosen, settings)
        network, state = cls.built(config, options.mode), cls.convert(raw)
        if why := cls.unlearned(state, options.mode):
            raise UserError(f"{path}: expected the weights of {cls.name}({options.mode}), {why}")
        checkpoints.load_whole(network, state, str(path))
        model = cls(network, config, options.mode)
        model.weights = cls.weights_name(path)
        model.unknown_training = True
        return model.setup(options)

    @classmethod
    def _fit(cls, raw: State, preset: str, mode: str, settings: Mapping[str, Any]) -> checkpoints.Fit:
        """How an authors' checkpoint fits a preset; nothing is loaded."""
        config = cls.load_preset(preset, settings)
        network = cls.sized(config, mode)
        return checkpoints.fit(network, cls.convert(raw), raw, lambda name: cls.authors_name(name, config))

    @classmethod
    def sized(cls, config: Any, mode: str) -> nn.Module:
        """A network whose tensors have sizes and, where that can be had, no values."""
        try:
            with torch.device("meta"):
                return cls.built(config, mode)
        except (NotImplementedError, RuntimeError):  # something in it is computed when it is built
            return cls.built(config, mode)

    trained = True  # False of random weights

    @classmethod
    def _foreign(cls, path: Path) -> bool:
        return bool(cls.published) and Path(path).is_file() and not Path(path).with_suffix(".toml").is_file()

    @classmethod
    def _describe(cls, path: Path) -> dict[str, Any]:
        return describe_weights(path, cls.name)

    @classmethod
    def create(cls, mode: str, preset: str = "nano", options: Mapping[str, Any] | None = None) -> Self:
        """A model to be trained: a preset with dotted fields replaced, encoders from the files it names."""
        config = cls.load_preset(preset, options)
        model = cls(cls.built(config, mode), config, mode)
        model.read_encoders()
        return model

    @classmethod
    def recipe(cls, preset: str = "nano", options: Mapping[str, Any] | None = None) -> Recipe:
        """How a preset is trained: its section [training]."""
        return cls.load_preset(preset, options).training

    @classmethod
    def network_name(cls, preset: str = "nano", options: Mapping[str, Any] | None = None) -> str:
        """A hash of every choice that trained weights depend on, whatever the preset's file says tomorrow."""
        choices = cls.load_preset(preset, options).describe()
        choices.pop("sampling", None)
        return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:12]

    @classmethod
    def weights_path(cls, preset: str, mode: str) -> Path:
        """Where weights that come with the package lie, whether there are any or not."""
        return cls.home.parent / "weights" / f"{cls.name}-{preset}-{mode}.safetensors"

    @classmethod
    def shipped(cls, preset: str, mode: str) -> Path:
        """Weights that come with the package; where absent, a `UserError` says how to train them."""
        path = cls.weights_path(preset, mode)
        if not path.is_file():
            cls.load_preset(preset)
            raise UserError(f"{cls.name}({mode}): expected weights {path.name} in {path.parent}, found none; train "
                            f"them: saliency-bench train {cls.name} --mode {mode} --preset {preset} --minutes 5, or "
                            "give --weights FILE")
        return path

    @classmethod
    def has_shipped(cls, preset: str, mode: str) -> bool:
        """Whether weights come with the package."""
        try:
            return cls.shipped(preset, mode).is_file()
        except UserError:
            return False

    @classmethod
    def record_of(cls, path: Path) -> dict[str, Any]:
        """What is known of weights: their name, the data sets they have seen, the steps they took, the training windows
        they have seen in all, whether with lessons, and their parameters.
        """
        described = cls._describe(path)
        record = described["record"]
        return {"name": cls.weights_name(path), "trained_on": list(record.get("trained_on", ())),
                "steps": record.get("spec", {}).get("steps", 0), "windows": windows_of(record),
                "lessons": bool(record.get("lessons", False)), "parameters": described.get("parameters", 0)}

    @classmethod
    def card(cls) -> dict[str, Any]:
        """The facts of the system: paper, code, weights, protocol."""
        return {k: v for k, v in read_toml(cls.home).items() if k != "presets"}

    @classmethod
    def counts(cls) -> dict[str, dict[str, int]]:
        """Parameters of every preset in every mode."""
        out: dict[str, dict[str, int]] = {}
        for preset in cls.presets():
            config = cls.load_preset(preset)
            out[preset] = {mode: sum(p.numel() for p in cls.sized(config, mode).parameters()) for mode in cls.modes}
        return out

    @classmethod
    def weights_name(cls, path: Path) -> str:
        """How records name the weights at `path`."""
        return checkpoints.file_name(path) if cls._foreign(path) else weights_name(path, cls.name)

    @property
    def reads_lessons(self) -> str:
        """Modalities of which the loss reads lessons (`Target.lessons`): T for sentences, A for sounds."""
        return ""

    def start_from(self, path: Path, parts: Sequence[str] = ()) -> Taken:
        """Take over every tensor of other weights that fits: of any mode, of encoders alone, or the authors'; see
        `weights.take_over`.
        """
        if self._foreign(path):
            given, self.unknown_training = self.convert(read_checkpoint(Path(path))), True
        else:
            description, data = read_weights(path, self.name)
            given, record = tensors_of(data, path, self.name), description["record"]
            self.trained_on = tuple(str(name) for name in record.get("trained_on", ()))
            self.unknown_training = bool(record.get("unknown_training", False))
            self.had_lessons = bool(record.get("lessons", False))
            self.windows_seen = windows_of(record)
        return take_over(self.network, given, tuple(parts), path)

    def save(self, path: Path, record: Mapping[str, Any]) -> Path:
        """Write the weights in half precision, with the TOML that describes them beside."""
        return save_weights(path, self.name, self.mode, self.network, self.config.describe(), record)

    def require(self, batch: WindowBatch) -> None:
        """Raise `UserError` for windows that lack a modality of the mode."""
        have = {"T": batch.captions, "A": batch.audio, "V": batch.frames}
        if lacks := [m for m in self.mode if have[m] is None]:
            raise UserError(f"{self.name}({self.mode}) needs {named(lacks)}, which the input does not have; choose a "
                            "mode that the input can feed")


def _advice(raw: State, asked: str) -> str:
    """What to do with a checkpoint that does not fit the system `asked`: the one it belongs to, or is nearest to."""
    fits: dict[tuple[str, str], list[str]] = {}
    nearest: list[tuple[tuple[int, int], str, str]] = []
    for name in registry.names("models"):
        try:
            model = registry.load("models", name)
        except UserError:
            continue
        for preset in getattr(model, "published", ()):
            for mode in model.modes:
                found = model._fit(raw, preset, mode, {})
                if found.exact and not model.unlearned(model.convert(raw), mode):
                    fits.setdefault((name, preset), []).append(mode)
                elif found.matched:
                    nearest.append((found.score, name, f"{name}({mode}), preset {preset}, with {found.matched} of its "
                                                       f"{found.total} tensors"))
    for (name, preset), modes in fits.items():
        which = f"({modes[0]})" if len(modes) == 1 else f" in mode {' or '.join(modes)}, which its tensors do not tell"
        return f"it is a checkpoint of {name}{which}, preset {preset}: run {name}"
    if not nearest:
        return f"no system here is near; give the file of {asked}"
    _, name, what = max(nearest)
    if name == asked:
        return f"no system here is nearer; fetch the authors' file of {asked} again, or rename what differs"
    return f"nearest is {what}: run {name}, or give the file of {asked}"


def boolean(model: str, option: str, value: Any) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in known:
        raise UserError(f"{model}: {option}: expected true or false, found {value!r}")
    return known[str(value).lower()]


def named(modalities: Sequence[str]) -> str:
    from saliency_bench.data.clip import MODALITIES

    return " and ".join(MODALITIES[m] for m in modalities)
