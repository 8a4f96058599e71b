"""Is the information gain of avt-causal's law recovered from few observers?

    python -m tests.bench.information [--frames 2000]

For frames of the test stream the law f(x) of fixations and the centre prior b(x) are known, and with them the expected
information gain, sum of f log2(f / b).  Observers are drawn from the law, 10 to 70 a frame, and `ig` is computed from
what they fixated: from counts, which protocols use where gaze by observer is known, and from a map of 0 and 1.  Printed
is the mean over frames less the expected one, with its standard error; counts have to be within .02 bit.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from tabulate import tabulate

from saliency_bench.metrics import ig
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.dataset import CausalStream
from saliency_bench.synthetic.causal.oracle import Bank

OBSERVERS = (10, 24, 40, 70)
ALLOWED = 0.02  # bit


def differences(frames: int, seed: int = 0) -> dict[tuple[int, str], np.ndarray]:
    """Information gain measured less expected, (frames,) in bits, by observers and by how fixations are noted."""
    stream, prior = CausalStream(seed, "information"), Bank.draw(4400).posterior_mean(None, None, sigma=0.0)
    out: dict[tuple[int, str], list[float]] = {key: [] for key in product(OBSERVERS, ("counts", "0 and 1"))}
    for k in range(frames):
        rng = np.random.default_rng([seed, k])
        scene, frame = stream.scene(k), int(rng.integers(law.FRAMES))
        f = law.mixture(scene.positions(np.array([frame / law.FPS]))[0], law.object_weights(scene), 0.0)
        expected = float((f * np.log2(f / prior)).sum())
        for n in OBSERVERS:
            counts = np.bincount(rng.choice(f.size, n, p=f.ravel()), minlength=f.size).reshape(f.shape)
            for noted, fixations in (("counts", counts), ("0 and 1", counts > 0)):
                out[n, noted].append(ig(f, fixations, prior) - expected)
    return {key: np.array(values) for key, values in out.items()}


def main() -> None:
    """Print how far the measured gain is from the expected one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--frames", type=int, default=2000)
    found = differences(parser.parse_args().frames)
    body = [[n, noted, f"{d.mean():+.4f}", f"{d.std(ddof=1) / np.sqrt(len(d)):.4f}",
             "yes" if abs(d.mean()) < ALLOWED else "no"] for (n, noted), d in found.items()]
    heads = ["observers", "fixations", "IG - expected (bit)", "s.e.", f"within {ALLOWED}"]
    print(tabulate(body, heads, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
