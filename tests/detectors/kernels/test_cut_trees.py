import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.kernels import cut_trees
from tests.naive.cut_trees import Inner, Leaf, Tree, oddness, uniform
from tests.streams import examples


class Kept:
    """One tree's arrays."""

    def __init__(self, room, size):
        self.head = np.zeros(4, np.int16)
        self.inner = np.zeros((room, 4), np.int16)
        self.cut = np.zeros(room, np.float32)
        self.box = np.zeros((room, 2, size), np.float32)
        self.leaf = np.zeros((room, 2), np.int16)
        self.point = np.zeros((room, size), np.float32)
        self.held = np.zeros(room, np.int16)
        self.key = np.zeros(room)
        self.spare = np.zeros((room, 2), np.int16)
        self.drawn = 0

    def tree(self):
        return self.head, self.inner, self.cut, self.box, self.leaf, self.point

    def sample(self, x, count, memory, seed):
        rest = (self.held, self.key, self.spare)
        self.drawn = cut_trees.sample(x, count, memory, seed, self.drawn, *self.tree(), *rest)

    def grown(self, node=None):
        """As the plain reference has it; the boxes and parents are checked on the way."""
        node = int(self.head[0]) if node is None else node
        if node < 0:
            return Leaf(tuple(self.point[-1 - node].tolist()), int(self.leaf[-1 - node, 1]))
        left, right, _, side = self.inner[node].tolist()
        made = Inner(side, float(self.cut[node]), self.grown(left), self.grown(right))
        points = np.array(made.points(), np.float32)
        np.testing.assert_array_equal(self.box[node], [points.min(axis=0), points.max(axis=0)])
        for child in (left, right):
            above = self.inner[child, 2] if child >= 0 else self.leaf[-1 - child, 0]
            assert above == node
        return made


points = st.tuples(st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([2.0, 1e-3, 0.0]))


@examples(60)
@given(drawn=points, room=st.integers(2, 20), count=st.integers(1, 120), memory=st.integers(1, 200))
def test_trees_are_those_of_the_plain_reference(drawn, room, count, memory):
    size, seed, tied = drawn
    rng = np.random.default_rng(seed)
    stream = rng.normal(size=(count, size)) * rng.choice([1.0, 100.0], size=(count, 1))
    if tied:
        stream = np.round(stream / tied) * tied
    stream = stream.astype(np.float32)
    kept, plain = Kept(room, size), Tree(room, memory, seed % 1000)
    for k, x in enumerate(stream):
        if k:
            shares = np.zeros(size)
            got = cut_trees.oddness(x, *kept.tree(), shares)
            expected, parts = oddness(plain.root, tuple(x.tolist()))
            np.testing.assert_allclose(got, expected, rtol=1e-6)
            np.testing.assert_allclose(shares, parts, rtol=1e-5, atol=1e-9)
        kept.sample(x, k, memory, seed % 1000)
        plain.sample(tuple(x.tolist()), k)
        assert kept.drawn == plain.drawn
        assert kept.grown() == plain.root


def test_draws_are_uniform_and_those_of_the_plain_reference():
    own = np.array([cut_trees.uniform(3, k) for k in range(20_000)])
    assert own[:50].tolist() == [uniform(3, k) for k in range(50)]
    counts, _ = np.histogram(own, 20, (0, 1))
    assert abs(counts - 1_000).max() < 150
    assert abs(np.corrcoef(own[1:], own[:-1])[0, 1]) < 0.03
    assert cut_trees.uniform(3, 2**32 + 5) == uniform(3, 2**32 + 5) != uniform(3, 5)
