"""How often 95 % intervals hold the true mean: `python -m tests.bench.coverage`.

One table for means over videos: what `metrics.stats` gives beside the percentile bootstrap that it replaced, on the
same samples.  One for shares, such as skill and gain captured.  One for means over seeds and videos, as ablations have
them: what `crossed_mean` gives beside the interval over videos alone, the t interval over seeds, and a bootstrap that
draws seeds and videos.  Coverage is printed with the mean width of the interval; its own standard error is about .007
at .95.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from saliency_bench.metrics.stats import crossed_mean, mean_interval, ratio_of_means

Draw = Callable[[np.random.Generator, int], np.ndarray]
Ends = tuple[float, float]
RECORDS = Path(__file__).parents[2] / "leaderboards" / "records"
SAMPLES, DRAWS = 1000, 500


def populations() -> dict[str, tuple[Draw, float]]:
    """Laws of a video's score and their means; the scores of systems that were measured are drawn with replacement."""
    found: dict[str, tuple[Draw, float]] = {
        "normal": (lambda random, n: random.normal(0, 1, n), 0.0),
        "beta(5, 1.5), as CC": (lambda random, n: random.beta(5, 1.5, n), 5 / 6.5),
        "beta(2, 0.5), CC of easy videos": (lambda random, n: random.beta(2, 0.5, n), 0.8),
        "lognormal(0.5), as NSS": (lambda random, n: random.lognormal(0, 0.5, n), float(np.exp(0.125))),
        "lognormal(1)": (lambda random, n: random.lognormal(0, 1, n), float(np.exp(0.5)))}
    for metric in ("CC", "NSS"):
        scores = measured("tavdiff-TAV", metric)
        found[f"{metric} of tavdiff-TAV by video"] = (
            lambda random, n, scores=scores: random.choice(scores, n), float(scores.mean()))
    return found


def measured(row: str, metric: str = "CC") -> np.ndarray:
    """The scores of a row of the board of avt-causal by video."""
    path = next(RECORDS.glob(f"{row}-avt-causal-*.json"))
    return np.array([video["scores"][metric][0] for video in json.loads(path.read_text("utf-8"))["videos"]])


def percentile(values: np.ndarray, random: np.random.Generator) -> Ends:
    """The percentile bootstrap over videos."""
    draws = values[random.integers(0, len(values), (DRAWS, len(values)))].mean(1)
    return tuple(np.percentile(draws, [2.5, 97.5]))


def crossed_bootstrap(table: np.ndarray, random: np.random.Generator) -> Ends:
    """Percentiles of means of which both seeds and videos are drawn again."""
    seeds, videos = (random.multinomial(n, np.full(n, 1 / n), DRAWS) / n for n in table.shape)
    return tuple(np.percentile(np.einsum("ds,sv,dv->d", seeds, table, videos), [2.5, 97.5]))


def told(ends: Sequence[Ends], truth: float) -> str:
    """Coverage and mean width."""
    low, high = np.array(ends).T
    if np.isnan(low).any():
        return "none"
    return f"{np.mean((low <= truth) & (truth <= high)):.3f} ({np.mean(high - low):.3f})"


def over_videos(sizes: Sequence[int] = (4, 8, 17, 48)) -> str:
    body = []
    for name, (draw, truth) in populations().items():
        for n in sizes:
            random = np.random.default_rng(n)
            samples = [draw(random, n) for _ in range(SAMPLES)]
            body.append([name, n, told([mean_interval(x)[1:3] for x in samples], truth),
                         told([percentile(x, random) for x in samples], truth)])
    return tabulate(body, ["score of a video", "videos", "used", "percentile bootstrap"], tablefmt="github")


def of_shares(sizes: Sequence[int] = (8, 24, 48)) -> str:
    """Shares of what an oracle has: pairs of differences by video are drawn with replacement from measured ones."""
    body = []
    for name, row, floor, top in (("skill of TAV", "tavdiff-TAV", "centre", "oracle-TAV"),
                                  ("gain captured by TAV", "tavdiff-TAV", "tavdiff-V", "oracle-TAV"),
                                  ("gain captured by AV", "tavdiff-AV", "tavdiff-V", "oracle-AV")):
        base = measured(floor if floor == "centre" else "oracle-V")
        above, below = measured(row) - measured(floor), measured(top) - base
        for n in sizes:
            random = np.random.default_rng(n)
            drawn = [random.integers(0, len(above), n) for _ in range(SAMPLES)]
            truth = above.mean() / below.mean()
            body.append([name, n, told([ratio_of_means(above[i], below[i])[1:] for i in drawn], truth)])
    return tabulate(body, ["share", "videos", "used"], tablefmt="github")


def over_seeds_and_videos(seeds: Sequence[int] = (2, 3, 5), videos: int = 48) -> str:
    """Differences of two rows: s.d. .03 of a video, .03 of what is left, and of a seed from none to more than both."""
    body = []
    for n in seeds:
        for of_seed in (0.0, 0.005, 0.02, 0.05):
            random = np.random.default_rng(n)
            tables = [of_seed * random.standard_normal((n, 1)) + 0.03 * random.standard_normal(videos)
                      + 0.03 * random.standard_normal((n, videos)) for _ in range(SAMPLES)]
            body.append([n, of_seed, told([crossed_mean(t)[1:3] for t in tables], 0),
                         told([mean_interval(t.mean(0))[1:3] for t in tables], 0),
                         told([_over_seeds(t) for t in tables], 0),
                         told([crossed_bootstrap(t, random) for t in tables], 0)])
    return tabulate(body, ["seeds", "s.d. of seeds", "used", "videos alone", "t over seeds", "crossed bootstrap"],
                    tablefmt="github")


def _over_seeds(table: np.ndarray) -> Ends:
    """The t interval over the seeds' means, which `mean_interval` gives from five seeds on."""
    from scipy import stats

    means = table.mean(1)
    reach = stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    return means.mean() - reach, means.mean() + reach


if __name__ == "__main__":
    print("coverage (mean width) of 95 % intervals of a mean over videos\n\n" + over_videos())
    print("\nof a share of what the oracle has\n\n" + of_shares())
    print("\nof a mean over seeds and 48 videos\n\n" + over_seeds_and_videos())
