"""Names -> things, loaded only when asked for: models, protocols and references by "module:attribute".

Third parties add their own through the entry-point groups `saliency_bench.models` and `saliency_bench.protocols`;
a name of ours cannot be taken over.  A plug-in that fails to import is an error for whoever asks for it and for
nobody else.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from saliency_bench.errors import UserError

BUILT_IN: dict[str, dict[str, str]] = {
    "models": {
        "tavdiff": "saliency_bench.models.tavdiff.model:TAVDiffModel",
        "cadiff_like": "saliency_bench.baselines.cadiff_like:CaDiffModel",
        "casp_like": "saliency_bench.baselines.casp_like:CASPLikeModel",
        "tsfp_like": "saliency_bench.baselines.tsfp_like:TSFPLikeModel",
        "davs_like": "saliency_bench.baselines.davs_like:DAVSLikeModel",
        "diffsal": "saliency_bench.baselines.diffsal:DiffSalModel",
        "stavis": "saliency_bench.baselines.stavis:STAViSModel",
        "vinet": "saliency_bench.baselines.vinet:ViNetModel",
        "avinet": "saliency_bench.baselines.avinet:AViNetModel",
        "vinet_s": "saliency_bench.baselines.vinet:ViNetSModel",
        "tased": "saliency_bench.baselines.tased:TASEDModel",
        "itti": "saliency_bench.baselines.itti:IttiKoch",
        "spectral_residual": "saliency_bench.baselines.spectral_residual:SpectralResidual",
        "uniform": "saliency_bench.baselines.floors:Uniform",
        "centre": "saliency_bench.baselines.floors:CentrePrior",
        "gaussian": "saliency_bench.baselines.floors:Gaussian",
        "mean_map": "saliency_bench.baselines.floors:MeanMap",
    },
    "protocols": {
        "av6-clean": "saliency_bench.protocol:AV6_CLEAN",
        "mit": "saliency_bench.protocol:MIT",
        "stavis-v1": "saliency_bench.protocol:STAVIS_V1",
        "vinet-v1": "saliency_bench.protocol:VINET_V1",
    },
    "datasets": {
        "avt-causal": "saliency_bench.data.causal:open_test",
    },
    "training": {
        "avt-causal": "saliency_bench.data.causal:open_training",
    },
    "interface": {
        "windows": "saliency_bench.models.adapter:Windows",
        "maps": "saliency_bench.models.maps_folder:MapsFolder",
        "parity": "saliency_bench.models.parity:parity",
    },
    "captioners": {
        "blip2": "saliency_bench.models.captioner:load",
    },
    "parity": {
        "s3d": "saliency_bench.models.encoders.parity:s3d",
        "soundnet": "saliency_bench.models.encoders.parity:soundnet",
        "dit": "saliency_bench.models.tavdiff.parity:dit",
        "stavis_av": "saliency_bench.baselines.parity:stavis_av",
        "stavis_v": "saliency_bench.baselines.parity:stavis_v",
        "vinet": "saliency_bench.baselines.parity:vinet",
        "vinet16": "saliency_bench.baselines.parity:vinet16",
        "avinet": "saliency_bench.baselines.parity:avinet",
        "avinet_tf": "saliency_bench.baselines.parity:avinet_tf",
    },
}


@cache
def names(kind: str) -> dict[str, str]:
    """{name: "module:attribute"} of every registered `kind` ("models", "protocols", "datasets", ...)."""
    found = {e.name: e.value for e in entry_points(group=f"saliency_bench.{kind}")}
    return {**BUILT_IN[kind], **{name: value for name, value in found.items() if name not in BUILT_IN[kind]}}


def load(kind: str, name: str) -> Any:
    """The registered object; raises `UserError` with the nearest names where there is none."""
    known = names(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"no {kind.removesuffix('s')} is called {name!r}{hint} (known: {', '.join(sorted(known))})")
    module, _, attribute = known[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        if name in BUILT_IN[kind]:
            raise
        raise UserError(f"{kind.removesuffix('s')} {name} ({known[name]}) cannot be imported: {error}") from error
