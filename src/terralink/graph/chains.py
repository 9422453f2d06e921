"""Stringing edges into chains: what tracing pixels and merging degree-2 junctions have in common.

An edge has two slots, ``2e`` at its first node and ``2e + 1`` at its second. Inside a chain each
slot has a partner, the slot of the next edge at the same node; so slots form paths and rings, and
parallel edges and loops need no special care.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Chains:
    """Edges in walking order, chain after chain.

    edges (m,)     edge numbers
    forward (m,)   whether an edge is walked from its first node to its second
    starts (k+1,)  chain i is edges[starts[i]:starts[i + 1]]
    """

    edges: Ints
    forward: NDArray[np.bool_]
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    def nodes(self, ends: Ints) -> tuple[Ints, Ints]:
        """The nodes along the chains, one after the other, and where each chain starts."""
        first = np.where(self.forward, ends[self.edges, 0], ends[self.edges, 1])
        second = np.where(self.forward, ends[self.edges, 1], ends[self.edges, 0])
        nodes = np.insert(second, self.starts[:-1], first[self.starts[:-1]])
        return nodes, self.starts + np.arange(len(self.starts))

    def ends(self, ends: Ints) -> Ints:
        """(k, 2) the first and last node of each chain."""
        nodes, starts = self.nodes(ends)
        return np.column_stack([nodes[starts[:-1]], nodes[starts[1:] - 1]])

    def mean(
        self, values: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(k,) weighted mean along each chain of a value an edge; nan counts for nothing."""
        known = np.where(np.isnan(values), 0, weights)[self.edges]
        if not len(self):
            return np.empty(0)
        total = np.add.reduceat(np.nan_to_num(values)[self.edges] * known, self.starts[:-1])
        weight = np.add.reduceat(known, self.starts[:-1])
        mean = np.full(len(self), np.nan)
        np.divide(total, weight, out=mean, where=weight > 0)
        return mean


def string(ends: Ints, *, stop: NDArray[np.bool_] | None = None) -> Chains:
    """The longest chains through nodes where just two edge ends meet.

    ends (m, 2) are node numbers; ``stop`` (n,) marks nodes where a chain ends in any case. A ring
    of such nodes alone is one chain from the first slot's node back to it.

    >>> chains = string(np.array([[0, 1], [2, 1], [2, 3]]))
    >>> chains.edges.tolist(), chains.forward.tolist(), chains.starts.tolist()
    ([0, 1, 2], [True, False, True], [0, 3])
    """
    if not len(ends):
        return Chains(np.empty(0, np.int64), np.empty(0, bool), np.zeros(1, np.int64))
    partner = _partners(ends.ravel(), stop)
    labels = connected_components(_linked(partner), directed=False)[1]
    _cut_rings(partner, labels)
    return _walked(partner, labels)


def _partners(nodes: Ints, stop: NDArray[np.bool_] | None) -> Ints:
    """(2m,) the slot that goes on at the same node, or -1 where a chain ends."""
    degree = np.bincount(nodes)
    goes_on = degree == 2
    if stop is not None:
        goes_on &= ~stop[: len(degree)]
    by_node = np.argsort(nodes, kind="stable")
    first = (np.cumsum(degree) - degree)[goes_on]
    one, other = by_node[first], by_node[first + 1]
    partner = np.full(len(nodes), -1)
    partner[one], partner[other] = other, one
    return partner


def _cut_rings(partner: Ints, labels: NDArray[np.int32]) -> None:
    """Give every ring a place to start: the first node of its first edge."""
    has_end = np.zeros(labels.max() + 1, bool)
    has_end[labels[np.flatnonzero(partner < 0) // 2]] = True
    _, first_edges = np.unique(labels, return_index=True)
    start = 2 * first_edges[~has_end]
    partner[partner[start]] = -1
    partner[start] = -1


def _walked(partner: Ints, labels: NDArray[np.int32]) -> Chains:
    """All chains in walking order: they are tied into one thread, which is then followed."""
    terminals = np.flatnonzero(partner < 0)
    by_chain = np.argsort(labels[terminals // 2], kind="stable")
    first, last = terminals[by_chain].reshape(-1, 2).T
    thread = partner.copy()
    thread[last[:-1]], thread[first[1:]] = first[1:], last[:-1]
    edges = breadth_first_order(_linked(thread), first[0] // 2, return_predecessors=False)
    edges = edges.astype(np.int64)
    came_from = np.concatenate([[-1], edges[:-1]])
    forward = thread[2 * edges] // 2 == came_from  # -1 // 2 is -1: the very first slot
    starts = np.flatnonzero(np.diff(labels[edges], prepend=-1, append=-1))
    return Chains(edges, forward, starts)


def _linked(partner: Ints) -> csr_array:
    """(m, m) which edges follow each other."""
    there = partner >= 0
    indptr = np.concatenate([[0], np.cumsum(there.reshape(-1, 2).sum(axis=1))])
    indices = partner[there] // 2
    shape = (len(partner) // 2,) * 2
    return csr_array((np.ones(len(indices)), indices, indptr), shape=shape)
