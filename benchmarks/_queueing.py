"""The M/D/c queue: Poisson arrivals, service times that are all the same, c servers, first come, first served."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

WARM_UP = 0.05
"""Share of the simulated requests, from the empty beginning, that is not counted."""


def simulate(load: float, servers: int, requests: int = 200_000, seed: int = 0) -> NDArray[np.float64]:
    """Times from arrival to departure, in multiples of one service time, of an M/D/c queue.

    Args:
        load: arrivals a service time for each server, above 0 and below 1.
        servers: c.
        requests: how many arrivals to simulate.
        seed: of the arrivals.

    Raises:
        ValueError: if the load is none that the servers can bear.
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
