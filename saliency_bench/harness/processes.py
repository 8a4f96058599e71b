"""The processes that share a training or an evaluation, through accelerate: usually one.

`accelerate launch -m saliency_bench …` and torchrun start several and tell each its rank; accelerate does the
rest: devices, gradients summed over processes, mixed precision.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from saliency_bench.errors import UserError

_NAMES = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}


def count() -> int:
    """Number of processes that were started together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Processes:
    """This process among those of a training.

    device    : where its model is
    rank      : 0 for the first one, which alone writes files
    count     : how many there are
    precision : of products in the forward pass: float32, bf16 or fp16
    """

    def __init__(self, device: str = "cpu", precision: str = "float32"):
        AcceleratorState._reset_state()  # settings of an earlier training in this process
        cpu = torch.device(device).type == "cpu"
        try:
            # Some published networks have parts that reach no map.
            idle = DistributedDataParallelKwargs(find_unused_parameters=True)
            self._accelerator = Accelerator(cpu=cpu, mixed_precision=_NAMES[precision], device_placement=False,
                                            kwargs_handlers=[idle])
        except ValueError as error:
            raise UserError(f"--precision {precision}: not to be had on {device} ({error}); use another") from None
        self.rank, self.count = self._accelerator.process_index, self._accelerator.num_processes
        self.device = self._accelerator.device if self.count > 1 else torch.device(device)

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def skips(self) -> bool:
        """Whether a step whose gradient overflows is left out and the loss scaled down, as far as that can help."""
        scaler = self._accelerator.scaler
        return scaler is not None and scaler.get_scale() >= 1

    def prepare(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[Any, Any]:
        return tuple(self._accelerator.prepare(module, optimiser))  # type: ignore[return-value]

    def autocast(self) -> AbstractContextManager[None]:
        return self._accelerator.autocast()

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def clip(self, parameters: Iterable[Tensor], norm: float) -> Tensor:
        """Scale the gradient to at most `norm`, 0 being none; returns what its norm was, over all processes."""
        return self._accelerator.clip_grad_norm_(list(parameters), norm or math.inf)  # type: ignore[return-value]

    def mean(self, value: Tensor) -> Tensor:
        """The mean over processes."""
        return value if self.count == 1 else self._accelerator.reduce(value, "mean")  # type: ignore[return-value]

    def ratio(self, total: float, number: float) -> float:
        """The sum of all processes' totals over that of their numbers."""
        both = torch.tensor([total, number], dtype=torch.float64, device=self.device)
        if self.count > 1:
            both = self._accelerator.reduce(both, "sum")  # type: ignore[assignment]
        return float(both[0] / both[1])

    def agree(self, value: Any) -> Any:
        """The first process's value, in all."""
        return value if self.count == 1 else broadcast_object_list([value])[0]

    def wait(self) -> None:
        """Until all are here."""
        self._accelerator.wait_for_everyone()

    def scaler_state(self) -> dict[str, Any]:
        return self._accelerator.scaler.state_dict() if self._accelerator.scaler is not None else {}

    def load_scaler(self, state: dict[str, Any]) -> None:
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state)
