"""The decision about one call: whether its key allows it, and whether its caller is within the rate limits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from service.admission._keys import Key, Keyring, Scope
from service.admission._rate_limit import Buckets, Rate, seconds_until
from service.errors import Forbidden, NightliftError, RateLimited, Unauthenticated
from service.settings import Settings
from service.telemetry import Metrics, current_request

logger = logging.getLogger("nightlift")

Charge = Callable[[int], None]
"""Charges a caller for the pixels that are about to be processed."""

CALLERS = 20_000
"""Callers whose use is remembered: some 5 MB."""
PIXELS = 1e6
MINUTE = 60.0


@dataclass(frozen=True)
class Limits:
    """What a caller may do; None is not limited."""

    requests: Rate | None
    pixels: Rate | None


def open_policy(settings: Settings, metrics: Metrics) -> AccessPolicy | None:
    """The policy that the settings ask for; None if everybody may call without limits.

    Raises:
        ValueError: if the keys file cannot be read.
    """
    if settings.keys_file is None and not settings.rate_limit and not settings.rate_megapixels:
        return None
    keyring = None if settings.keys_file is None else Keyring(settings.keys_file)
    limits = _limits(settings.rate_limit, settings.rate_burst, settings.rate_megapixels)
    return AccessPolicy(keyring, limits, metrics)


class AccessPolicy:
    """Admits or refuses calls before their body is read.

    Args:
        keyring: the keys, of which every call needs one; None if calls need none.
        limits: of every key without limits of its own, or, without keys, of every client address.
        metrics: counts calls by key.
    """

    def __init__(self, keyring: Keyring | None, limits: Limits, metrics: Metrics) -> None:
        self._keyring = keyring
        self._limits = limits
        self._metrics = metrics
        self._requests = Buckets(CALLERS)
        self._pixels = Buckets(CALLERS)

    def check(self, need: Scope, authorization: str | None, address: str) -> tuple[str, Charge | None]:
        """Admit a call.

        Args:
            need: the scope that its key must have.
            authorization: the header or metadata of that name.
            address: the client's, which identifies the caller if there are no keys.

        Returns:
            The caller whose share it counts for, and a function that charges its pixels, if they are limited.

        Raises:
            Unauthenticated: if a key is needed, and none or an unknown one came.
            Forbidden: if the key may be used for other things only.
            RateLimited: if the caller exceeds its rate limit.
        """
        if self._keyring is None:
            return address, self._within_limits(address, self._limits)
        key = _authenticated(self._keyring, authorization)
        try:
            if need not in key.scopes:
                scopes = ", ".join(sorted(key.scopes))
                raise Forbidden(f"this needs a key with the scope {need.value!r}; the key's scopes are: {scopes}")
            charge = None if need is Scope.METRICS else self._within_limits(key.id, _limits_of(key, self._limits))
        except NightliftError as error:
            self._metrics.key_requests.labels(key.name, error.slug).inc()
            raise
        self._metrics.key_requests.labels(key.name, "admitted").inc()
        if (request := current_request()) is not None:
            request.key = key.name
        if need is Scope.ADMIN:
            logger.info("the key %r is used to change models", key.name)
        return key.id, charge

    def _within_limits(self, caller: str, limits: Limits) -> Charge | None:
        now = time.monotonic()
        requests, pixels = limits.requests, limits.pixels
        if requests and (wait := seconds_until(self._requests.level(caller, requests, now), requests, 1)):
            _refuse(f"more than {requests.per_second:g} requests a second", wait)
        if pixels and (wait := seconds_until(self._pixels.level(caller, pixels, now), pixels, 1)):
            _refuse(f"more than {pixels.per_second * MINUTE / PIXELS:g} megapixels a minute", wait)
        if requests:
            self._requests.take(caller, requests, 1, now)
        return partial(self._charge, caller, pixels) if pixels else None

    def _charge(self, caller: str, rate: Rate, pixels: int) -> None:
        self._pixels.take(caller, rate, pixels, time.monotonic())


def _authenticated(keyring: Keyring, authorization: str | None) -> Key:
    scheme, _, presented = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("this service requires an API key; send it as `Authorization: Bearer KEY`")
    key = keyring.find(presented.strip())
    if key is None:
        raise Unauthenticated("the API key is unknown; it may have been revoked")
    return key


def _limits_of(key: Key, otherwise: Limits) -> Limits:
    """A key's own limits, which override the settings'; the settings' burst applies to the settings' rate only."""
    own = _limits(key.requests_per_second or 0, key.burst or 0, key.megapixels_per_minute or 0)
    requests = own.requests or otherwise.requests
    if requests and key.burst:
        requests = Rate(requests.per_second, key.burst)
    return Limits(requests, own.pixels or otherwise.pixels)


def _limits(requests_per_second: float, burst: int, megapixels_per_minute: float) -> Limits:
    """The limits as buckets; 0: unlimited. The default burst is a second's requests, at least 1; a minute's
    pixels."""
    requests = Rate(requests_per_second, burst or max(1.0, requests_per_second)) if requests_per_second else None
    pixels = megapixels_per_minute * PIXELS
    return Limits(requests, Rate(pixels / MINUTE, pixels) if pixels else None)


def _refuse(what: str, wait: float) -> NoReturn:
    raise RateLimited(f"the caller sends {what}; try again in {wait:.1f} s", wait)
