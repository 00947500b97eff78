"""The M/D/c queue: Poisson arrivals, constant service times, c servers, first come, first served."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

WARM_UP = 0.05
"""Fraction of the simulated requests that is discarded, because the queue is empty at first."""


def simulate(load: float, servers: int, requests: int = 200_000, seed: int = 0) -> NDArray[np.float64]:
    """Simulated times from arrival to departure in an M/D/c queue, in units of the service time: float64 [N].

    Args:
        load: utilisation of each server, above 0 and below 1.
        servers: number of servers, c.
        requests: number of arrivals to simulate.
        seed: for the arrivals.

    Raises:
        ValueError: if the load is out of range.
    """
    if not 0 < load < 1:
        raise ValueError(f"a load of {load:g} has no steady state; it must be above 0 and below 1")
    gaps = np.random.default_rng(seed).exponential(1 / (load * servers), requests)
    free = [0.0] * servers  # when each server is free
    taken = np.empty(requests)
    for number, arrival in enumerate(np.cumsum(gaps).tolist()):
        departure = max(arrival, free[0]) + 1
        heapq.heapreplace(free, departure)
        taken[number] = departure - arrival
    return taken[int(requests * WARM_UP) :]
