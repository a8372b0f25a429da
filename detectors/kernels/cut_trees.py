"""Random cut trees over points that come and go: Guha, Mishra, Roy & Schrijvers, Robust Random Cut
Forest Based Anomaly Detection on Streams, ICML 2016.

A tree holds a sample of the points so far, newer ones more likely: a point's key is log(-log(u)),
u uniform in (0, 1), less its place in the stream over `memory`, and the smallest keys stay
(Efraimidis & Spirakis, Weighted random sampling with a reservoir, 2006). Each inner node parts its
points by one coordinate, drawn in proportion to the sides of the box around them.

How odd a point is: the chance, from the root down, that a cut would part it from all points below a
node, weighted by 1 / (depth + 1). Each coordinate's share in these chances is what it contributes.

State of a tree with room for S points of D coordinates:
head  (4,) root, leaves, points, and which of them has the largest key
inner (S, 4) of an inner node: left, right, parent, coordinate that is cut
cut   (S,) of an inner node: points go left up to here
box   (S, 2, D) of an inner node: least and largest coordinates below
leaf  (S, 2) parent, and how often its point is held
point (S, D) of a leaf
held  (S,) leaf of each held point
key   (S,) of each held point
spare (S, 2) unused inner nodes and leaves, from the first that is unused on
A node is named by its number, a leaf by -1 - its number; NOWHERE is the root's parent.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.columns import Floats
from models.jit import borrow, inlined, kernel

Shorts = NDArray[np.int16]
Singles = NDArray[np.float32]

NOWHERE = -32_768
SAMPLES_MAX = 4_096
ROOT, LEAVES, POINTS, LARGEST = 0, 1, 2, 3
LEFT, RIGHT, PARENT, SIDE = 0, 1, 2, 3


class Forest(NamedTuple):
    """Trees of many rows: how many points and draws each row saw, then the state of its trees."""

    seen: NDArray[np.int64]
    drawn: NDArray[np.int64]
    head: Shorts
    inner: Shorts
    cut: Singles
    box: Singles
    leaf: Shorts
    point: Singles
    held: Shorts
    key: Floats
    spare: Shorts


@inlined
def uniform(seed: int, drawn: int) -> float:
    """Draw number `drawn`, in (0, 1): a hash of both, so that nothing else need be remembered.

    The hash is `lowbias32` of C. Wellons, Prospecting for Hash Functions, 2018.
    """
    bits = (drawn >> 32) ^ seed
    for half in (0, drawn & 0xFFFFFFFF):
        bits = (bits + half) & 0xFFFFFFFF
        bits ^= bits >> 16
        bits = (bits * 0x7FEB352D) & 0xFFFFFFFF
        bits ^= bits >> 15
        bits = (bits * 0x846CA68B) & 0xFFFFFFFF
        bits ^= bits >> 16
    return (bits + 0.5) / 4294967296.0


@inlined
def _beyond(x: float, low: float, high: float) -> float:
    """How far `x` lies outside."""
    return max(np.float64(x - high), 0.0) + max(np.float64(low - x), 0.0)


@kernel
def oddness(
    x: Singles,
    head: Shorts,
    inner: Shorts,
    cut: Singles,
    box: Singles,
    leaf: Shorts,
    point: Singles,
    shares: Floats,
) -> float:
    """How soon a tree's cuts part `x` from its points, 0 … 1; adds to `shares` by coordinate."""
    size = len(x)
    node = int(head[ROOT])
    depth, together, total = 0, 1.0, 0.0
    while node >= 0:
        beyond, sides = 0.0, 0.0
        for d in range(size):
            low, high = box[node, 0, d], box[node, 1, d]
            beyond += _beyond(x[d], low, high)
            sides += np.float64(high - low)
        if beyond > 0.0:
            chance = together * beyond / (beyond + sides)
            total += chance / (depth + 1)
            each = chance / (depth + 1) / beyond
            for d in range(size):
                shares[d] += each * _beyond(x[d], box[node, 0, d], box[node, 1, d])
            together -= chance
        goes_left = x[inner[node, SIDE]] <= cut[node]
        node = int(inner[node, LEFT] if goes_left else inner[node, RIGHT])
        depth += 1
    at = -1 - node
    away = 0.0
    for d in range(size):
        away += abs(np.float64(x[d] - point[at, d]))
    if away == 0.0:
        return total + together / (depth + math.log2(1.0 + leaf[at, 1]))
    for d in range(size):
        shares[d] += together / (depth + 1) * abs(np.float64(x[d] - point[at, d])) / away
    return total + together / (depth + 1)


@kernel
def _hang(
    node: int, above: int, instead_of: int, head: Shorts, inner: Shorts, leaf: Shorts
) -> None:
    """Make `node` a child of `above` where `instead_of` was one, or the root."""
    if above != NOWHERE:
        _join(above, node, LEFT if inner[above, LEFT] == instead_of else RIGHT, inner, leaf)
        return
    head[ROOT] = node
    if node >= 0:
        inner[node, PARENT] = NOWHERE
    else:
        leaf[-1 - node, 0] = NOWHERE


@kernel
def _join(above: int, node: int, hand: int, inner: Shorts, leaf: Shorts) -> None:
    """Make `node` the child of `above` on that hand."""
    inner[above, hand] = node
    if node >= 0:
        inner[node, PARENT] = above
    else:
        leaf[-1 - node, 0] = above


@kernel
def _plant(
    x: Singles, head: Shorts, leaf: Shorts, point: Singles, held: Shorts, spare: Shorts
) -> None:
    """Let `x` in as the first of all points."""
    for k in range(len(spare)):
        spare[k, 0] = spare[k, 1] = k
    head[ROOT], head[LEAVES], head[POINTS] = -1, 1, 1
    leaf[0, 0], leaf[0, 1] = NOWHERE, 1
    point[0], held[0] = x, 0


@kernel
def insert(
    x: Singles,
    place: int,
    seed: int,
    drawn: int,
    head: Shorts,
    inner: Shorts,
    cut: Singles,
    box: Singles,
    leaf: Shorts,
    point: Singles,
    held: Shorts,
    spare: Shorts,
) -> int:
    """Let `x` in as the held point `place` beside others; how many were drawn in the end."""
    size = len(x)
    leaves = int(head[LEAVES])
    node, above = int(head[ROOT]), NOWHERE
    while True:
        if node >= 0:
            low, high = borrow(box[node, 0]), borrow(box[node, 1])
        else:
            low = high = borrow(point[-1 - node])
        beyond, sides = False, 0.0
        for d in range(size):
            beyond = beyond or x[d] < low[d] or x[d] > high[d]
            sides += np.float64(max(high[d], x[d])) - np.float64(min(low[d], x[d]))
        if beyond:
            side, reach = _side_at(x, low, high, uniform(seed, drawn) * sides)
            drawn += 1
            at = np.float32(np.float64(min(low[side], x[side])) + reach)
            if x[side] < low[side] and (at < low[side] or node < 0):
                at = at if at < low[side] else x[side]
                break
            if x[side] > high[side] and (at >= high[side] or node < 0):
                at = at if at < x[side] else high[side]
                break
        elif node < 0:
            leaf[-1 - node, 1] += 1
            held[place] = -1 - node
            return drawn
        for d in range(size):
            low[d] = min(low[d], x[d])
            high[d] = max(high[d], x[d])
        above = node
        goes_left = x[inner[node, SIDE]] <= cut[node]
        node = int(inner[node, LEFT] if goes_left else inner[node, RIGHT])
    fresh = int(spare[leaves, 1])
    split = int(spare[leaves - 1, 0])
    for d in range(size):
        box[split, 0, d], box[split, 1, d] = min(low[d], x[d]), max(high[d], x[d])
    cut[split], inner[split, SIDE] = at, side
    _hang(split, above, node, head, inner, leaf)
    goes_left = x[side] <= at
    _join(split, -1 - fresh if goes_left else node, LEFT, inner, leaf)
    _join(split, node if goes_left else -1 - fresh, RIGHT, inner, leaf)
    leaf[fresh, 1], held[place] = 1, fresh
    point[fresh] = x
    head[LEAVES] = leaves + 1
    return drawn


@kernel
def _side_at(x: Singles, low: Singles, high: Singles, reach: float) -> tuple[int, float]:
    """The sides of the box with `x` in it laid in a row: in which `reach` ends, and where in it."""
    last, rest = 0, 0.0
    for d in range(len(x)):
        side = np.float64(max(high[d], x[d])) - np.float64(min(low[d], x[d]))
        if side > 0.0:
            last, rest = d, reach
            if reach < side:
                break
        reach -= side
    return last, rest


@kernel
def remove(
    place: int,
    head: Shorts,
    inner: Shorts,
    box: Singles,
    leaf: Shorts,
    point: Singles,
    held: Shorts,
    spare: Shorts,
) -> None:
    """Let the held point `place` out; the tree must hold others."""
    size = point.shape[1]
    gone = int(held[place])
    leaf[gone, 1] -= 1
    if leaf[gone, 1] > 0:
        return
    split = int(leaf[gone, 0])
    is_left = inner[split, LEFT] == -1 - gone
    other = int(inner[split, RIGHT] if is_left else inner[split, LEFT])
    node = int(inner[split, PARENT])
    _hang(other, node, split, head, inner, leaf)
    head[LEAVES] -= 1
    spare[head[LEAVES] - 1, 0], spare[head[LEAVES], 1] = split, gone
    while node != NOWHERE:
        shrinks = False
        for bound in range(2):
            left = _corner(int(inner[node, LEFT]), bound, box, point)
            right = _corner(int(inner[node, RIGHT]), bound, box, point)
            for d in range(size):
                far = max(left[d], right[d]) if bound else min(left[d], right[d])
                shrinks = shrinks or far != box[node, bound, d]
                box[node, bound, d] = far
        node = int(inner[node, PARENT]) if shrinks else NOWHERE


@kernel
def _corner(node: int, bound: int, box: Singles, point: Singles) -> Singles:
    """The least, or largest, coordinates below a node."""
    corner: Singles = borrow(box[node, bound] if node >= 0 else point[-1 - node])
    return corner


@kernel
def sample(
    x: Singles,
    count: int,
    memory: float,
    seed: int,
    drawn: int,
    head: Shorts,
    inner: Shorts,
    cut: Singles,
    box: Singles,
    leaf: Shorts,
    point: Singles,
    held: Shorts,
    key: Floats,
    spare: Shorts,
) -> int:
    """Let point number `count` into a tree if it is drawn; how many were drawn in the end."""
    own = math.log(-math.log(uniform(seed, drawn))) - count / memory
    drawn += 1
    place = int(head[POINTS])
    if place == 0:
        _plant(x, head, leaf, point, held, spare)
        key[0] = own
        return drawn
    if place < len(held):
        head[POINTS] += 1
    else:
        place = int(head[LARGEST])
        if own >= key[place]:
            return drawn
        remove(place, head, inner, box, leaf, point, held, spare)
    drawn = insert(x, place, seed, drawn, head, inner, cut, box, leaf, point, held, spare)
    key[place] = own
    largest = 0
    for k in range(1, int(head[POINTS])):
        if key[k] > key[largest]:
            largest = k
    head[LARGEST] = largest
    return drawn


@kernel
def novelty(
    x: Singles, row: int, memory: float, seed: int, forest: Forest, shares: Floats
) -> float:
    """How much odder than 1 a row's trees find `x`, NaN for its first point; then they learn it.

    A tree's oddness s is 1 where its first cut parts `x` from all its points; told is s / (1 - s)
    of their mean, which grows with the distance. shares: overwritten with each coordinate's share.
    """
    trees = forest.head.shape[1]
    count, drawn = int(forest.seen[row]), int(forest.drawn[row])
    shares[:] = 0.0
    total = 0.0
    for t in range(trees):
        head, inner = borrow(forest.head[row, t]), borrow(forest.inner[row, t])
        cut, box = borrow(forest.cut[row, t]), borrow(forest.box[row, t])
        leaf, point = borrow(forest.leaf[row, t]), borrow(forest.point[row, t])
        held, key = borrow(forest.held[row, t]), borrow(forest.key[row, t])
        spare = borrow(forest.spare[row, t])
        if count > 0:
            total += oddness(x, head, inner, cut, box, leaf, point, shares)
        drawn = sample(
            x, count, memory, seed, drawn, head, inner, cut, box, leaf, point, held, key, spare
        )
    forest.seen[row], forest.drawn[row] = count + 1, drawn
    if count == 0:
        return math.nan
    shares /= total
    odd: float = total / max(trees - total, 1e-12 * trees)
    return odd
