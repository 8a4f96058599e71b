"""Why a weights file cannot be read, in plain words, and what to do about it.  Nothing here runs what a file holds."""

from __future__ import annotations

import pickletools
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from saliency_bench.errors import UserError

WRAPPERS = ("state_dict", "model", "model_state_dict")  # keys below which trainings keep their tensors
# Of what these modules hold, a file of weights can only want to be called while it is read.
CALLED = {"builtins", "commands", "ctypes", "importlib", "nt", "os", "posix", "pty", "runpy", "shutil", "socket",
          "subprocess", "sys", "webbrowser"}
PLAIN = "expected .safetensors or a torch file of plain tensors"


def absent(path: Path) -> UserError:
    """Of a path that is no file."""
    if not path.is_dir():
        return UserError(f"{path}: expected a weights file, found nothing there; check the path")
    inside = sorted(p.name for p in path.iterdir() if p.suffix in (".safetensors", ".pt", ".pth", ".tar"))
    return UserError(f"{path}: expected a weights file, found a folder; give a file in it"
                     + (f", for example {path / inside[0]}" if inside else ""))


def unreadable(path: Path, error: Exception) -> UserError:
    """Of a file that raised `error` when it was read."""
    with open(path, "rb") as file:
        head = file.read(16)
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    found = named[1] if named else _first_global(path) if head[:1] == b"\x80" else ""
    if named and "." not in found:
        found = f"builtins.{found}"
    if found.partition(".")[0] in CALLED:
        return UserError(f"{path}: {PLAIN}, found a call of {found}: reading it would run code, so it was not opened; "
                         "get plain weights from someone you trust")
    if found:
        return UserError(f"{path}: {PLAIN}, found {found} in it, a class that weights do not need and that could run "
                         "code; it was not opened; if you trust it, save the tensors alone: python -c \"import torch; "
                         f"c = torch.load('{path.name}', weights_only=False); torch.save(c['state_dict'], "
                         "'weights.pt')\" (of a whole module c.state_dict())")
    if not head:
        return UserError(f"{path}: {PLAIN}, found an empty file; fetch it again")
    if b"TorchScript" in str(error).encode():
        return UserError(f"{path}: {PLAIN}, found a TorchScript program; save its tensors alone: "
                         "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt')")
    if head.lstrip()[:1] == b"<":
        return UserError(f"{path}: {PLAIN}, found a page of text ({head.decode(errors='replace')!r}...), as sites give "
                         "in place of a file; fetch the file itself")
    if path.suffix == ".safetensors" or head[:2] in (b"PK", b"\x80\x02"):
        return UserError(f"{path}: {PLAIN}, found a file of {path.stat().st_size:,} bytes that is damaged or ends "
                         "early; fetch it again")
    return UserError(f"{path}: {PLAIN}, found a file of another kind; give the weights file itself")


def no_state(path: Path, loaded: object) -> UserError:
    """Of a file that was read and holds no state dict where one is looked for."""
    if not isinstance(loaded, Mapping):
        return UserError(f"{path}: expected a state dict of tensors, found {type(loaded).__name__}; save "
                         "model.state_dict()")
    within = [k for k, v in loaded.items() if isinstance(v, Mapping) and v
              and all(isinstance(x, Tensor) for x in v.values())]
    keys = [f"{k!r} ({_kind(v)})" for k, v in list(loaded.items())[:6]] + ["..."] * (len(loaded) > 6)
    fix = (f"save what is under {within[0]!r} alone: torch.save(torch.load(FILE)[{within[0]!r}], 'weights.pt')"
           if within else "save model.state_dict()")
    return UserError(f"{path}: expected a state dict of tensors, by itself or under {', '.join(WRAPPERS)}, found the "
                     f"keys {', '.join(keys) or '(none)'}; {fix}")


def _kind(value: object) -> str:
    return f"{len(value)} entries" if isinstance(value, Mapping) else type(value).__name__


def _first_global(path: Path) -> str:
    """The first name that a pickle asks for, "" where it asks for none or cannot be followed."""
    texts: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(path.read_bytes()):
            if code.name == "GLOBAL":
                return str(argument).replace(" ", ".")
            if code.name == "STACK_GLOBAL":
                return ".".join(texts[-2:])
            if isinstance(argument, str):
                texts.append(argument)
    except ValueError:
        pass
    return ""
