"""API keys: who may ask what, and how often.

`keys.json` holds for each key a name, the SHA-256 of the key, its roles and its rate limit. Keys are 256 random bits,
so a fast hash is as safe as a slow one and costs no request anything. The file is read again when it changes. Rates are
counted by each gateway process for itself: n gateways let a key ask n times as often.

    events     POST /v1/events                  recommend    POST /v1/recommendations, /v1/bought-together
    profiles   GET /v1/profiles/{user_id}       experiments  /v1/experiments/{experiment_id}/…
    plan       /v1/demand, /v1/inventory/plan   ads          POST /v1/ads/decide
    admin      all of these, and DELETE /v1/users/{user_id}
"""

import hashlib
import hmac
import json
import logging
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_pipelines.atomic import write_json
from data_pipelines.schema import InputError

ROLES = ("events", "recommend", "plan", "ads", "profiles", "experiments", "admin")
ROLE_OF = {
    "/v1/events": "events",
    "/v1/recommendations": "recommend",
    "/v1/profiles": "profiles",
    "/v1/experiments": "experiments",
    "/v1/demand": "plan",
    "/v1/inventory": "plan",
    "/v1/ads": "ads",
    "/v1/bought-together": "recommend",
}
"""The role that a path, and what is below it, needs; other paths under /v1 need admin."""
LENGTH_BYTES = 32
MODE = 0o644  # hashes of long random keys: a gateway that is another user must be able to read them
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ApiKey:
    """What the file holds of a key.

    Args:
        name: of whoever uses it; shown in logs.
        sha256: of the key, hexadecimal.
        roles: see `ROLES`.
        requests_per_second: None for the setting of the gateway.
    """

    name: str
    sha256: str
    roles: tuple[str, ...]
    requests_per_second: float | None = None

    def may(self, role: str) -> bool:
        """Whether the key has the role."""
        return role in self.roles or "admin" in self.roles


def role_for(path: str) -> str | None:
    """The role that a path needs; None where no key is needed."""
    if not (path == "/v1" or path.startswith("/v1/")):
        return None
    return next((role for base, role in ROLE_OF.items() if path == base or path.startswith(f"{base}/")), "admin")


def digest(key: str) -> str:
    """The hash under which a key is kept."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> list[ApiKey]:
    """Read a key file.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return [_checked(entry) for entry in found["keys"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: is no key file ({error}); write one with `supplytower serve keys add`") from None


def _checked(entry: Mapping[str, Any]) -> ApiKey:
    sha256 = bytes.fromhex(entry["sha256"])  # in whichever case it was written
    key = ApiKey(entry["name"], sha256.hex(), tuple(entry["roles"]), entry.get("requests_per_second"))
    if not (isinstance(key.name, str) and key.name) or len(sha256) != 32:
        raise ValueError("a key needs a name and 64 hexadecimal digits of sha256")
    if wrong := set(key.roles) - set(ROLES):
        raise ValueError(f"key {key.name!r} has the unknown role {min(wrong)!r}; there are {', '.join(ROLES)}")
    rate = key.requests_per_second
    if rate is not None and not (isinstance(rate, int | float) and math.isfinite(rate) and rate > 0):
        raise ValueError(f"key {key.name!r}: requests_per_second must be more than 0")
    return key


def add_key(path: Path, name: str, roles: tuple[str, ...], requests_per_second: float | None = None) -> str:
    """Make a key; returns it, and keeps only its hash.

    Raises:
        InputError: if the name is taken or a role unknown.
    """
    keys = read_keys(path) if path.exists() else []
    if any(key.name == name for key in keys):
        raise InputError(f"{path}: there is a key {name!r}; choose another name or remove it first")
    secret = f"st_{secrets.token_urlsafe(LENGTH_BYTES)}"
    entry = {"name": name, "sha256": digest(secret), "roles": roles, "requests_per_second": requests_per_second}
    try:
        _write(path, [*keys, _checked(entry)])
    except ValueError as error:
        raise InputError(str(error)) from None
    return secret


def remove_key(path: Path, name: str) -> None:
    """Remove a key.

    Raises:
        InputError: if there is none of that name.
    """
    keys = read_keys(path)
    if all(key.name != name for key in keys):
        raise InputError(f"{path}: no key {name!r}; there are: {', '.join(key.name for key in keys) or '(none)'}")
    _write(path, [key for key in keys if key.name != name])


def _write(path: Path, keys: list[ApiKey]) -> None:
    mode = path.stat().st_mode if path.exists() else MODE
    write_json(path, {"keys": [asdict(key) for key in keys]})
    path.chmod(mode)


class KeyRing:
    """The keys of a file, as it is now.

    Args:
        path: the file.
        requests_per_second: of keys that have no limit of their own.
        burst_seconds: of its rate that a key may save up.
        clock: seconds that only grow.

    Raises:
        InputError: if the file cannot be read at the start. Later on the last good keys stay, and the log says why.
    """

    def __init__(
        self,
        path: Path,
        *,
        requests_per_second: float,
        burst_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._path, self._rate, self._burst_seconds, self._clock = path, requests_per_second, burst_seconds, clock
        self._keys, self._version = read_keys(path), self._look()
        self._buckets: dict[str, tuple[float, float]] = {}  # sha256 -> requests left, when

    def find(self, given: str) -> ApiKey | None:
        """The key's entry; takes as long for a wrong key as for a right one."""
        if (version := self._look()) != self._version:
            self._version = version
            try:
                self._keys = read_keys(self._path)
                logger.info("keys reloaded", extra={"keys": len(self._keys)})
            except InputError as error:
                logger.error("keys not reloaded, the last ones stay", extra={"reason": str(error)})
        wanted, found = digest(given), None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, wanted):
                found = key
        return found

    def wait_seconds(self, key: ApiKey) -> float:
        """Take one request from the key's token bucket; 0, or the seconds until there is one."""
        rate = key.requests_per_second or self._rate
        most = max(rate * self._burst_seconds, 1.0)
        now = self._clock()
        left, since = self._buckets.get(key.sha256, (most, now))
        left = min(left + (now - since) * rate, most)
        taken = left >= 1.0
        self._buckets[key.sha256] = left - taken, now
        return 0.0 if taken else (1.0 - left) / rate

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
