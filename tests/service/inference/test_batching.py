"""The batching decision as a table: what waits, what is expected, and what is cut."""

from __future__ import annotations

import pytest

from service.inference import BatchPolicy, Bucket, ClosedBy, Cut, Wait, Waiting, decide

SMALL = Bucket.of_picture(10, 10, "enhanced")
WIDE = Bucket.of_picture(10, 20, "enhanced")
AFFINE = Bucket.of_picture(10, 10, "affine")
POLICY = BatchPolicy(max_count=4, max_pixels=450, max_delay=0.05)
NOW = 100.0


def waiting(*buckets: Bucket, since: float = NOW, deadline: float | None = None) -> list[Waiting]:
    return [Waiting(bucket, 1, since, deadline) for bucket in buckets]


TABLE = {
    "one picture, nothing in sight": (waiting(SMALL), {}, POLICY, Cut((0,), ClosedBy.IDLE)),
    "equal pictures go together": (waiting(SMALL, SMALL), {}, POLICY, Cut((0, 1), ClosedBy.IDLE)),
    "other shapes stay": (waiting(SMALL, WIDE, SMALL), {}, POLICY, Cut((0, 2), ClosedBy.IDLE)),
    "other outputs stay": (waiting(SMALL, AFFINE), {}, POLICY, Cut((0,), ClosedBy.IDLE)),
    "company of another shape is not waited for": (waiting(SMALL), {WIDE: 1}, POLICY, Cut((0,), ClosedBy.IDLE)),
    "company in sight is waited for": (waiting(SMALL), {SMALL: 1}, POLICY, Wait(NOW + 0.05)),
    "but not longer than the delay": (
        waiting(SMALL, since=NOW - 0.05),
        {SMALL: 1},
        POLICY,
        Cut((0,), ClosedBy.DELAY),
    ),
    "nor without a delay": (
        waiting(SMALL),
        {SMALL: 1},
        BatchPolicy(4, 450, 0.0),
        Cut((0,), ClosedBy.DELAY),
    ),
    "a full batch does not wait": (waiting(*[SMALL] * 4), {SMALL: 3}, POLICY, Cut((0, 1, 2, 3), ClosedBy.FULL)),
    "what is too much stays": (waiting(*[SMALL] * 6), {}, POLICY, Cut((0, 1, 2, 3), ClosedBy.FULL)),
    "pixels bound a batch": (waiting(*[WIDE] * 3), {WIDE: 1}, POLICY, Cut((0, 1), ClosedBy.PIXELS)),
    "one picture alone is let through": (
        waiting(Bucket.of_picture(50, 50, "enhanced")),
        {},
        POLICY,
        Cut((0,), ClosedBy.IDLE),
    ),
    "one at a time": (waiting(SMALL, SMALL), {SMALL: 5}, BatchPolicy(), Cut((0,), ClosedBy.FULL)),
    "a client's own batch counts its pictures": (
        [Waiting(SMALL, 3, NOW), Waiting(SMALL, 2, NOW)],
        {},
        POLICY,
        Cut((0,), ClosedBy.FULL),
    ),
    "a client's batch may be larger than ours": ([Waiting(SMALL, 9, NOW)], {}, POLICY, Cut((0,), ClosedBy.FULL)),
    "the first shape goes first": (waiting(WIDE, SMALL, SMALL), {}, POLICY, Cut((0,), ClosedBy.IDLE)),
    "also if another one is due: who is taken can wait": (
        waiting(WIDE) + waiting(SMALL, deadline=NOW + 0.01) + waiting(SMALL),
        {},
        POLICY,
        Cut((0,), ClosedBy.IDLE),
    ),
    "a far deadline changes nothing": (
        waiting(WIDE) + waiting(SMALL, deadline=NOW + 60),
        {},
        POLICY,
        Cut((0,), ClosedBy.IDLE),
    ),
    "a close deadline ends the waiting": (
        waiting(SMALL, deadline=NOW + 0.09),
        {SMALL: 1},
        POLICY,
        Cut((0,), ClosedBy.DEADLINE),
    ),
    "a deadline shortens the waiting": (
        waiting(SMALL, deadline=NOW + 0.12),
        {SMALL: 1},
        POLICY,
        Wait(pytest.approx(NOW + 0.02)),
    ),
}


@pytest.mark.parametrize(("queue", "expected", "policy", "decision"), TABLE.values(), ids=TABLE.keys())
def test_decision(
    queue: list[Waiting], expected: dict[Bucket, int], policy: BatchPolicy, decision: Cut | Wait
) -> None:
    assert decide(queue, expected, policy, NOW) == decision


def test_a_wait_ends_in_a_cut() -> None:
    """Whoever comes back at the time that a wait names must not be sent away again."""
    queue = waiting(SMALL, deadline=NOW + 0.2)
    decision = decide(queue, {SMALL: 1}, POLICY, NOW)
    assert isinstance(decision, Wait)
    assert isinstance(decide(queue, {SMALL: 1}, POLICY, decision.until), Cut)


def test_a_rare_shape_does_not_starve() -> None:
    """However many of another shape arrive, the oldest entry's turn comes with the next batch."""
    queue = waiting(SMALL, SMALL, since=NOW - 1) + waiting(WIDE, since=NOW - 0.9) + waiting(*[SMALL] * 20)
    first = decide(queue, {}, POLICY, NOW)
    assert isinstance(first, Cut)
    rest = [item for index, item in enumerate(queue) if index not in first.indices]
    second = decide(rest, {}, POLICY, NOW)
    assert isinstance(second, Cut)
    assert {rest[index].bucket for index in second.indices} == {WIDE}
