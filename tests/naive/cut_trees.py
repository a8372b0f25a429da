"""Random cut trees, plainly: nested objects, boxes made anew from the points below."""

import math
from dataclasses import dataclass, field

import numpy as np

MASK = 0xFFFFFFFF


def uniform(seed, drawn):
    bits = (drawn >> 32) ^ seed
    for half in (0, drawn & MASK):
        bits = (bits + half) & MASK
        bits ^= bits >> 16
        bits = bits * 0x7FEB352D & MASK
        bits ^= bits >> 15
        bits = bits * 0x846CA68B & MASK
        bits ^= bits >> 16
    return (bits + 0.5) / 2**32


@dataclass
class Leaf:
    point: tuple
    count: int = 1

    def points(self):
        return [self.point]


@dataclass
class Inner:
    side: int
    cut: float
    left: object
    right: object

    def points(self):
        return self.left.points() + self.right.points()


@dataclass
class Tree:
    room: int
    memory: float
    seed: int
    drawn: int = 0
    root: object = None
    held: list = field(default_factory=list)

    def draw(self):
        self.drawn += 1
        return uniform(self.seed, self.drawn - 1)

    def sample(self, point, count):
        key = math.log(-math.log(self.draw())) - count / self.memory
        if len(self.held) == self.room:
            largest = max(self.held)
            if key >= largest[0]:
                return
            self.held.remove(largest)
            self.root = self.without(self.root, largest[1])
        self.root = self.having(self.root, point)
        self.held.append((key, point))

    def having(self, node, point):
        if node is None:
            return Leaf(point)
        below = np.array(node.points(), np.float32)
        low, high = below.min(axis=0), below.max(axis=0)
        x = np.array(point, np.float32)
        sides = np.maximum(high, x).astype(float) - np.minimum(low, x).astype(float)
        if (x < low).any() or (x > high).any():
            reach = self.draw() * sides.sum()
            side = int(np.searchsorted(np.cumsum(sides), reach, side="right"))
            at = np.float32(float(min(low[side], x[side])) + (reach - sides[:side].sum()))
            leaf = isinstance(node, Leaf)
            if x[side] < low[side] and (at < low[side] or leaf):
                return Inner(side, at, Leaf(point), node)
            if x[side] > high[side] and (at >= high[side] or leaf):
                return Inner(side, at, node, Leaf(point))
        elif isinstance(node, Leaf):
            node.count += 1
            return node
        if point[node.side] <= node.cut:
            node.left = self.having(node.left, point)
        else:
            node.right = self.having(node.right, point)
        return node

    def without(self, node, point):
        if isinstance(node, Leaf):
            node.count -= 1
            return node if node.count else None
        name = "left" if point[node.side] <= node.cut else "right"
        kept = self.without(getattr(node, name), point)
        setattr(node, name, kept)
        if kept is None:
            return node.right if name == "left" else node.left
        return node


def oddness(node, point, depth=0):
    """Of a point, and each coordinate's part of it: over all ways that cuts could fall."""
    x = np.array(point, float)
    if isinstance(node, Leaf):
        away = np.abs(x - np.array(node.point, float))
        if not away.any():
            return 1 / (depth + math.log2(1 + node.count)), np.zeros(len(x))
        return 1 / (depth + 1), away / away.sum() / (depth + 1)
    below = np.array(node.points(), float)
    low, high = below.min(axis=0), below.max(axis=0)
    beyond = np.maximum(x - high, 0) + np.maximum(low - x, 0)
    every = beyond.sum() + (high - low).sum()
    inside, parts = oddness(
        node.left if point[node.side] <= node.cut else node.right, point, depth + 1
    )
    chance = beyond.sum() / every
    return (
        chance / (depth + 1) + (1 - chance) * inside,
        beyond / every / (depth + 1) + (1 - chance) * parts,
    )
