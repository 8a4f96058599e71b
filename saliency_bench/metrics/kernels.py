"""The compiled kernels behind the frame metrics: one walk over a frame for everything but SIM's overlap.

Conventions
-----------
p, g       : flat contiguous prediction and density, uint8, float32 or float64, used in their own values.
keys       : integers in the order of the values, made from the floats' bits.
thresholds : the distinct values of `p` at fixations, ascending.
All sums are float64 (exact integers for uint8).  `reference.py` says the same in plain numpy.

How a frame is walked
---------------------
A tile of pixels is read from memory once; moments, extrema and threshold counts are taken while it sits in
the first-level cache.  For AUC-Judd a tile is cut in runs; a threshold outside a run's range needs no
comparison, the few inside it are counted by vector comparisons, and a run that many thresholds cross (noise,
hundreds of scattered fixations) sorts its pixels into bins of thresholds instead, so the cost has no cliff.
Float extrema are taken on integer keys, because compilers vectorise integer minima but not float ones; the
keys show NaN and infinity too.

All compiled code of a frame is in this one file on purpose: the compiler's cache looks at the file of the
function that is called, so a helper elsewhere could change without being compiled again.
"""

# Numba resolves these functions at compile time; annotations that it would ignore are left out inside.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import extending, njit, types

TILE = 2048  # pixels: 8 KiB of float32 and 2 KiB of uint8 density fit in any first-level cache
RUN = 128  # pixels whose range is compared with the thresholds at once; a count fits in uint8
CROWDED, CROWDED_BYTES = 28, 12  # thresholds in one run from which binning beats comparing them all
BINS = 1024  # at least 1023: the four histograms of uint8 share the tally
MANY = 1024  # distinct thresholds from which one sort of the map is the better plan

RESCALE, SORT = 1, 2  # what `score` may ask for, or both; see there
UNSAFE = 1e120  # a range above this, or below its inverse, is scaled before it is squared

_SUMS = {"reassoc", "contract", "nsz", "arcp"}  # reorder sums, but NaN and infinity keep their meaning
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}
_compiled, _compiled_sums = njit(**_OPTIONS), njit(**_OPTIONS, fastmath=_SUMS)


def _overload(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Decorator: the body of `function` by the types of its arguments, compiled like everything here."""
    jit_options: Any = {**_OPTIONS, **options}
    return extending.overload(function, jit_options=jit_options)



# ------------------------------------------------------------------ pieces that differ by type
def _key(bits):
    """Integer whose order is the order of the values."""
    raise RuntimeError("compiled code only")


@_overload(_key)
def _key_of(bits):
    if bits == types.uint8:
        return lambda bits: np.int32(bits)
    if bits == types.int32:
        return lambda bits: np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))
    return lambda bits: np.int64(bits ^ ((bits >> np.int64(63)) & np.int64(0x7FFFFFFFFFFFFFFF)))


def _bits(p):
    """The map's memory as integers."""
    raise RuntimeError("compiled code only")


@_overload(_bits)
def _bits_of(p):
    if p.dtype == types.uint8:
        return lambda p: p
    if p.dtype == types.float32:
        return lambda p: p.view(np.int32)
    return lambda p: p.view(np.int64)


def _values(keys, low, high):
    """The values whose keys are `low` and `high`; both NaN if either is not finite."""
    raise RuntimeError("compiled code only")


@_overload(_values)
def _values_of(keys, low, high):
    if keys.dtype == types.uint8:
        return lambda keys, low, high: (np.float64(low), np.float64(high))
    whole, real = (np.int32, np.float32) if keys.dtype == types.int32 else (np.int64, np.float64)

    def floats(keys, low, high):
        both = np.empty(2, whole)
        both[0], both[1] = _key(whole(low)), _key(whole(high))  # the key of a key is the bits again
        ends = both.view(real)
        if np.isfinite(ends[0]) and np.isfinite(ends[1]):
            return np.float64(ends[0]), np.float64(ends[1])
        return np.nan, np.nan
    return floats


def _key_range(keys):
    """Smallest and largest key."""
    raise RuntimeError("compiled code only")


@_overload(_key_range)
def _key_range_of(keys):
    if keys.dtype == types.uint8:
        def eight_bit(keys):
            low, high = np.uint8(255), np.uint8(0)
            for i in range(keys.size):
                k = keys[i]
                low = k if k < low else low
                high = k if k > high else high
            return np.int64(low), np.int64(high)
        return eight_bit

    def floats(keys):
        low = _key(keys[0])
        high = low
        for i in range(keys.size):
            k = _key(keys[i])
            low = k if k < low else low
            high = k if k > high else high
        return np.int64(low), np.int64(high)
    return floats


def _count(p, threshold):
    """How many of at most RUN pixels are at least the threshold, and how many equal it."""
    raise RuntimeError("compiled code only")


@_overload(_count)
def _count_of(p, threshold):
    word = np.uint8 if p.dtype == types.uint8 else (np.int64 if p.dtype == types.float64 else np.int32)

    def count(p, threshold):
        above, equal = word(0), word(0)
        for i in range(p.size):
            above = word(above + word(p[i] >= threshold))
            equal = word(equal + word(p[i] == threshold))
        return np.int64(above), np.int64(equal)
    return count


def _moments(p, g, p0, g0):
    """Sums of p, p², g, g², pg with p and g taken from the shifts p0 and g0, which are whole for uint8."""
    raise RuntimeError("compiled code only")


@_overload(_moments, fastmath=_SUMS)
def _moments_of(p, g, p0, g0):
    if p.dtype == types.uint8 and g.dtype == types.uint8:
        def exact(p, g, p0, g0):
            sp, spp, sg, sgg, spg = np.int32(0), np.int32(0), np.int32(0), np.int32(0), np.int32(0)
            for i in range(p.size):
                x, y = np.int32(p[i]), np.int32(g[i])
                sp, sg = np.int32(sp + x), np.int32(sg + y)
                spp, sgg, spg = np.int32(spp + x * x), np.int32(sgg + y * y), np.int32(spg + x * y)
            n, ps, gs = np.float64(p.size), np.float64(sp), np.float64(sg)  # whole numbers: shifting is exact
            return (ps - n * p0, spp + p0 * (n * p0 - 2 * ps), gs - n * g0, sgg + g0 * (n * g0 - 2 * gs),
                    spg + p0 * (n * g0 - gs) - g0 * ps)
        return exact
    if g.dtype == types.uint8:
        def mixed(p, g, p0, g0):
            sp, spp, spg = 0.0, 0.0, 0.0
            sg, sgg, shift = np.int32(0), np.int32(0), np.int32(g0)
            for i in range(p.size):
                x, k = np.float64(p[i]) - p0, np.int32(np.int32(g[i]) - shift)
                sg, sgg = np.int32(sg + k), np.int32(sgg + k * k)
                sp += x
                spp += x * x
                spg += x * np.float64(k)
            return sp, spp, np.float64(sg), np.float64(sgg), spg
        return mixed

    def general(p, g, p0, g0):
        sp, spp, sg, sgg, spg = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(p.size):
            x, y = np.float64(p[i]) - p0, np.float64(g[i]) - g0
            sp += x
            spp += x * x
            sg += y
            sgg += y * y
            spg += x * y
        return sp, spp, sg, sgg, spg
    return general


def _moments_one(p, p0):
    """Sums of p - p0 and its square."""
    raise RuntimeError("compiled code only")


@_overload(_moments_one, fastmath=_SUMS)
def _moments_one_of(p, p0):
    def one(p, p0):
        sp, spp = 0.0, 0.0
        for i in range(p.size):
            x = np.float64(p[i]) - p0
            sp += x
            spp += x * x
        return sp, spp
    return one


# ------------------------------------------------------------------ fixations
@_compiled
def fixated(fixations):
    """Flat indices (n,) int64 of the non-zero pixels of a flat uint8 map."""
    n, found = fixations.size, 0
    where = np.empty(1024, np.int64)
    for a in range(0, n, 256):
        part, some = fixations[a:a + 256], np.uint8(0)
        for i in range(part.size):
            some = np.uint8(some | part[i])
        if some:
            if found + 256 > where.size:
                larger = np.empty(2 * where.size, np.int64)
                larger[:found] = where[:found]
                where = larger
            for i in range(part.size):
                where[found] = a + i
                found += part[i] != 0
    return where[:found].copy()


@_compiled
def distinct(values):
    """Distinct values (m,) ascending, and how often each occurs (m,) int64."""
    ordered = np.sort(values)
    thresholds, times = np.empty_like(ordered), np.zeros(ordered.size, np.int64)
    m = 0
    for i in range(ordered.size):
        if m == 0 or ordered[i] != thresholds[m - 1]:
            thresholds[m] = ordered[i]
            m += 1
        times[m - 1] += 1
    return thresholds[:m].copy(), times[:m].copy()


# ------------------------------------------------------------------ threshold counts
@_compiled
def _key_bounds(thresholds, low, high, own_keys):
    """Key interval of each threshold: a point, but for zero, whose two signs have two keys."""
    for j in range(thresholds.size):
        low[j] = high[j] = _key(own_keys[j])
        if thresholds[j] == 0 and own_keys.itemsize > 1:
            low[j], high[j] = -1, 0


@_compiled
def _bin(p, first, scale, bins):
    """Bin of each pixel: 0 below the first threshold (and for NaN), never decreasing with the value."""
    for i in range(p.size):
        at = (np.float64(p[i]) - first) * scale + 1.0
        at = at if at > 0.0 else 0.0
        bins[i] = np.int32(at if at < BINS else BINS)


@_compiled
def _lay_bins(thresholds, starts, split):
    """Lay BINS bins over the thresholds; returns their origin and scale.

    starts[b] is how many thresholds lie in bins before b, split[b] is 1 where b holds a threshold.
    """
    first, last = np.float64(thresholds[0]), np.float64(thresholds[-1])
    # any positive scale keeps the order, also where the range is nothing or overflows
    scale = min(max((BINS - 1) / (last - first), 1e-306), 1e300)
    bins = np.empty(thresholds.size, np.int32)
    _bin(thresholds, first, scale, bins)
    for b in bins:
        starts[b + 1] += 1
        split[b] = 1
    for b in range(BINS + 1):
        starts[b + 1] += starts[b]
    return first, scale


@_compiled
def _tally_floats(p, thresholds, layout, starts, split, tally, scratch, reached, equal):
    bins, doubtful = scratch[:RUN], scratch[RUN:]
    _bin(p, layout[0], layout[1], bins)
    for i in range(p.size):
        tally[bins[i]] += 1
    found = 0
    for i in range(p.size):  # without a branch, which noise would mispredict
        doubtful[found] = i
        found += split[bins[i]]
    for k in range(found):
        b, x = bins[doubtful[k]], p[doubtful[k]]
        tally[b] -= 1
        j, end = starts[b], starts[b + 1]
        while j < end:
            middle = (j + end) >> 1
            if thresholds[middle] <= x:
                j = middle + 1
            else:
                end = middle
        reached[j] += 1
        if j > 0:
            equal[j - 1] += thresholds[j - 1] == x


def _tally(p, thresholds, layout, starts, split, tally, scratch, reached, equal):
    """Count the run's pixels by bin in `tally`, those in a bin with thresholds in `reached` and `equal`."""
    raise RuntimeError("compiled code only")


@_overload(_tally)
def _tally_of(p, thresholds, layout, starts, split, tally, scratch, reached, equal):
    if p.dtype == types.uint8:
        def histogram(p, thresholds, layout, starts, split, tally, scratch, reached, equal):
            quarter = p.size // 4  # four tables, so that equal neighbours do not wait for each other
            for i in range(quarter):
                tally[p[i]] += 1
                tally[256 + p[quarter + i]] += 1
                tally[512 + p[2 * quarter + i]] += 1
                tally[768 + p[3 * quarter + i]] += 1
            for i in range(4 * quarter, p.size):
                tally[p[i]] += 1
        return histogram
    return lambda p, thresholds, layout, starts, split, tally, scratch, reached, equal: \
        _tally_floats(p, thresholds, layout, starts, split, tally, scratch, reached, equal)


def _untally(thresholds, starts, tally, reached, equal):
    """Put what is left in `tally` to `reached[number of thresholds <= pixel]` and `equal`."""
    raise RuntimeError("compiled code only")


@_overload(_untally)
def _untally_of(thresholds, starts, tally, reached, equal):
    if thresholds.dtype == types.uint8:
        def histogram(thresholds, starts, tally, reached, equal):
            j = 0
            for value in range(256):
                times = tally[value] + tally[256 + value] + tally[512 + value] + tally[768 + value]
                if j < thresholds.size and thresholds[j] == value:
                    equal[j] += times
                    j += 1
                reached[j] += times
        return histogram

    def bins(thresholds, starts, tally, reached, equal):
        for b in range(BINS + 1):
            reached[starts[b]] += tally[b]
    return bins


@_compiled
def walk(p, g, thresholds, p0, g0, stats, above, equal):
    """One walk over the frame; `g` may be empty.

    Writes stats = sums of p, p², g, g², pg from the shifts (5), and for each threshold how many pixels are
    at least it (`above`) and equal to it (`equal`).  Returns least and largest value of p and g; they are NaN
    where the map holds NaN or infinity.
    """
    n, m, paired = p.size, thresholds.size, g.size > 0
    p_keys, g_keys = _bits(p), _bits(g)
    p_low, p_high = np.int64(0x7FFFFFFFFFFFFFFF), -np.int64(0x7FFFFFFFFFFFFFFF)
    g_low, g_high = p_low, p_high
    low, high = np.empty(m, np.int64), np.empty(m, np.int64)
    _key_bounds(thresholds, low, high, _bits(thresholds))
    reached = np.zeros(m + 1, np.int64)
    starts, split = np.zeros(BINS + 2, np.int32), np.zeros(BINS + 1, np.uint8)
    tally, scratch = np.zeros(BINS + 1, np.int32), np.empty(2 * RUN, np.int32)
    layout, binned = (0.0, 0.0), False
    below, upto, crowded = 0, 0, CROWDED_BYTES if p.itemsize == 1 else CROWDED
    for a in range(0, n, TILE):
        b = min(n, a + TILE)
        for c in range(a, b, RUN):
            d = min(b, c + RUN)
            lowest, highest = _key_range(p_keys[c:d])
            p_low, p_high = min(p_low, lowest), max(p_high, highest)
            # both ends move little from one run to the next, so walk there instead of searching
            while below < m and high[below] < lowest:
                below += 1
            while below > 0 and high[below - 1] >= lowest:
                below -= 1
            while upto < m and low[upto] <= highest:
                upto += 1
            while upto > 0 and low[upto - 1] > highest:
                upto -= 1
            if upto - below >= crowded:
                if not binned:
                    layout, binned = _lay_bins(thresholds, starts, split), True
                _tally(p[c:d], thresholds, layout, starts, split, tally, scratch, reached, equal)
                continue
            reached[below] += d - c
            for j in range(below, upto):
                at_least, same = _count(p[c:d], thresholds[j])
                above[j] += at_least
                equal[j] += same
        if paired:
            lowest, highest = _key_range(g_keys[a:b])
            g_low, g_high = min(g_low, lowest), max(g_high, highest)
            sp, spp, sg, sgg, spg = _moments(p[a:b], g[a:b], p0, g0)
            stats[2] += sg
            stats[3] += sgg
            stats[4] += spg
        else:
            sp, spp = _moments_one(p[a:b], p0)
        stats[0] += sp
        stats[1] += spp
    if binned:
        _untally(thresholds, starts, tally, reached, equal)
    passed = 0
    for j in range(m - 1, -1, -1):
        passed += reached[j + 1]
        above[j] += passed
    p_least, p_most = _values(p_keys, p_low, p_high)
    g_least, g_most = _values(g_keys, g_low, g_high) if paired else (np.nan, np.nan)
    return p_least, p_most, g_least, g_most


@_compiled_sums
def _overlap(p, g, p_least, g_least, ratio):
    part = 0.0
    for i in range(p.size):
        x, y = (np.float64(p[i]) - p_least) * ratio, np.float64(g[i]) - g_least
        part += x if x < y else y
    return part


@_compiled
def overlap(p, g, p_least, g_least, ratio):
    """Sum over pixels of min((p - p_least) * ratio, g - g_least)."""
    total = 0.0
    for a in range(0, p.size, TILE):
        b = min(p.size, a + TILE)
        total += _overlap(p[a:b], g[a:b], p_least, g_least, ratio)
    return total


# ------------------------------------------------------------------ scores
@_compiled
def judd_area(times, above, equal, n, ties):
    """Area under Judd's ROC from counts at the distinct thresholds (ascending).

    `times` fixations have the threshold's value, `above` pixels reach it, `equal` pixels have it; n pixels.
    """
    positives = np.sum(times)
    negatives = n - positives
    if positives == 0 or negatives == 0:
        return np.nan
    area, x, hits = 0.0, 0.0, 0.0  # x counts false positives, hits true ones
    for j in range(times.size - 1, -1, -1):
        f = np.float64(times[j])
        if ties == 2:  # one point a threshold
            end = above[j] - hits - f
            area += (end - x) * (hits + 0.5 * f)
        else:
            if ties == 0:  # each of the group's fixations expects its share of the group's other pixels
                step = (equal[j] - f) / (f + 1)
                first = above[j] - equal[j] - hits + step
            else:  # the published loop: all of the group first, then one fixation less at a time
                step = -1.0
                first = above[j] - hits - 1
            area += (first - x) * (hits + 0.5) + step * (f - 1) * (hits + 0.5 * (f + 1))
            end = first + step * (f - 1)
        x = end
        hits += f
    area += (negatives - x) * positives
    return area / (np.float64(negatives) * np.float64(positives))


@_compiled
def score(p, g, fixations, similarity, ties, out):
    """Write SIM, CC, NSS, AUC-Judd of one frame to `out`; empty `g` or `fixations` are left out.

    Returns 0, or what is left to do: RESCALE asks for SIM, CC and NSS of the maps in another scale, SORT for
    AUC-Judd by sorting.  Ranks need no scale: they are those of the values as they are.
    """
    out[:] = np.nan
    n, paired, sparse = p.size, g.size > 0, fixations.size > 0
    where = fixated(fixations)
    if sparse and where.size == 0:
        return 0
    values = p[where]
    sane = True
    for v in values:
        sane = sane and np.isfinite(v)
    if not sane:
        return 0
    thresholds, times = distinct(values)
    crowd = sparse and thresholds.size > MANY
    used = thresholds[:0] if crowd or not sparse else thresholds
    above, equal = np.zeros(used.size, np.int64), np.zeros(used.size, np.int64)
    p0, g0 = np.float64(p[0]), np.float64(g[0]) if paired else 0.0
    stats = np.zeros(5)
    p_least, p_most, g_least, g_most = walk(p, g, used, p0, g0, stats, above, equal)
    if np.isnan(p_least):
        return 0
    p_range, g_range = p_most - p_least, g_most - g_least
    paired = paired and not np.isnan(g_range)  # a broken density leaves NSS and AUC-Judd alone
    left = 0
    if crowd and p_range > 0:
        left = SORT
    elif sparse and p_range > 0:
        out[3] = judd_area(times, above, equal, n, ties)
    for spread in (p_range, g_range):
        if spread > UNSAFE or (spread > 0 and spread < 1 / UNSAFE):
            return left | RESCALE
    # a shift far from the mean cancels digits: take the moments again, from the mean
    far_p = p_range > 0 and stats[1] - stats[0] * stats[0] / n < 1e-3 * stats[1]
    far_g = g_range > 0 and stats[3] - stats[2] * stats[2] / n < 1e-3 * stats[3]
    if far_p or far_g:
        p_mean, g_mean = p0 + stats[0] / n, g0 + stats[2] / n
        p0, g0 = np.rint(p_mean) if p.itemsize == 1 else p_mean, np.rint(g_mean) if g.itemsize == 1 else g_mean
        stats[:] = 0
        walk(p, g, used[:0], p0, g0, stats, above[:0], equal[:0])
    sp, sg = stats[0], stats[2]
    p_square, g_square = stats[1] - sp * sp / n, stats[3] - sg * sg / n
    if paired and g_range > 0:
        if p_range > 0:
            out[1] = (stats[4] - sp * sg / n) / (np.sqrt(p_square) * np.sqrt(g_square))
            if similarity:
                p_mass, g_mass = sp + n * (p0 - p_least), sg + n * (g0 - g_least)
                out[0] = overlap(p, g, p_least, g_least, g_mass / p_mass) / g_mass
        elif p_least == 0:
            out[0] = 0.0
    if sparse and p_range > 0:
        gain = 0.0
        for v in values:
            gain += np.float64(v) - p0
        out[2] = (gain / values.size - sp / n) / np.sqrt(p_square / (n - 1))
    return left


@_compiled
def score_many(p, g, fixations, out, todo):
    for i in range(p.shape[0]):
        todo[i] = score(p[i], g[i], fixations[i], True, 0, out[i])
