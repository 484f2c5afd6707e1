"""Manifests and their signatures (Ed25519). Pure.

Of a package, what is signed is its `manifest.json` as it stands, byte for byte; it holds the
SHA-256 of every other file and the id of the key. Of any export there is a manifest beside it as
well, one JSON file with its signature; what is signed is the canonical JSON of what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from chargers.canonical import canonical
from dr_events.evidence.baselines import BEFORE_S, METER_BEFORE, METHODS
from dr_events.evidence.computation import Terms
from dr_events.evidence.files import time_in, time_text
from dr_events.evidence.intervals import MAX_GAP_S, MINIMUM_COMPLETENESS_PERCENT
from dr_events.evidence.performance import EDITION, REBOUND_S, SHOWN_BEFORE_S

FORMAT = "ev-demand-response-evidence/1"
EXPORT_FORMAT = "ev-demand-response-export/1"
SOFTWARE = {"name": "ev-demand-response-gateway", "version": "0.1.0"}
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
# What the figures rest on besides the program's own choice.
CONSTANTS = {
    "max_gap_s": MAX_GAP_S,
    "minimum_completeness_percent": MINIMUM_COMPLETENESS_PERCENT,
    "baseline_before_s": BEFORE_S,
    "shown_before_s": SHOWN_BEFORE_S,
    "rebound_s": REBOUND_S,
}


@dataclass(frozen=True, slots=True)
class Sealing:
    """What every manifest says besides: by whom and when it was made, where the audit chain stood,
    and which key signs."""

    made_at: datetime
    made_by: str
    chain_head: dict[str, Any]
    key_id: str

    def as_json(self) -> dict[str, Any]:
        return {
            "software": SOFTWARE,
            "constants": CONSTANTS,
            "made_at": time_text(self.made_at),
            "made_by": self.made_by,
            "chain": {**self.chain_head, "algorithm": "SHA-256 over canonical JSON (RFC 8785)"},
            "signed_with": self.key_id,
        }


def manifest_of(
    terms: Terms, *, event: dict[str, Any], files: list[dict[str, Any]], sealing: Sealing
) -> bytes:
    """The manifest of a package as canonical JSON."""
    said = {**sealing.as_json(), **of_event(event, terms)}
    return canonical({**said, "format": FORMAT, "files": files})


def sealed(
    about: Mapping[str, Any],
    *,
    file: dict[str, Any],
    inputs: Mapping[str, int],
    sealing: Sealing,
    seed: str,
) -> bytes:
    """The manifest of any export, with its signature, as canonical JSON. `about`: of_event() or
    of_season(); `file`: its name, format, SHA-256 and bytes; `inputs`: of how many rows of each
    raw table it is made."""
    said = {**sealing.as_json(), **about}
    manifest = canonical({**said, "format": EXPORT_FORMAT, "file": file, "inputs": inputs})
    signature = orjson.loads(sign(manifest, key_id=sealing.key_id, seed=seed))
    return canonical({"manifest": orjson.loads(manifest), "signature": signature})


def of_event(event: dict[str, Any], terms: Terms) -> dict[str, Any]:
    """What a manifest says of the event that an export is about."""
    return {
        "event": {name: event[name] for name in ("id", "external_id", "name", "status")},
        "terms": terms_json(terms),
        "methods": _methods_json(terms.methods, terms.settlement_grade),
    }


def of_season(
    *, start: datetime, end: datetime, event_ids: Sequence[str], settlement_grade: Sequence[str]
) -> dict[str, Any]:
    """What a manifest says of the season that an export is about: what its cars delivered is held
    against what they drew before."""
    return {
        "season": {"from": time_text(start), "to": time_text(end), "events": list(event_ids)},
        "methods": _methods_json([METER_BEFORE.id], settlement_grade),
    }


def _methods_json(method_ids: Sequence[str], settlement_grade: Sequence[str]) -> list[Any]:
    return [METHODS[id_].as_json(is_settlement_grade=id_ in settlement_grade) for id_ in method_ids]


def terms_json(terms: Terms) -> dict[str, Any]:
    """The terms as a manifest has them."""
    return {
        "interval_minutes": terms.interval_minutes,
        "methods": list(terms.methods),
        "settlement_grade": list(terms.settlement_grade),
        "as_of": time_text(terms.as_of),
        "started_at": _text_or_none(terms.started_at),
        "ended_at": _text_or_none(terms.ended_at),
        "holidays": [day.isoformat() for day in terms.holidays],
        "ends_at": _text_or_none(terms.ends_at),
        "edition": terms.edition,
    }


def _text_or_none(at: datetime | None) -> str | None:
    return time_text(at) if at else None


def terms_in(manifest: dict[str, Any]) -> Terms:
    """The terms a package was computed by. Raises KeyError, TypeError or ValueError."""
    said = manifest["terms"]
    as_of = time_in(said["as_of"])
    if as_of is None:
        raise ValueError("the manifest does not say as of when")
    return Terms(
        interval_minutes=int(said["interval_minutes"]),
        methods=tuple(said["methods"]),
        settlement_grade=tuple(said["settlement_grade"]),
        as_of=as_of,
        started_at=time_in(said["started_at"]),
        ended_at=time_in(said["ended_at"]),
        # A package that was made before there was a calendar has none.
        holidays=tuple(date.fromisoformat(day) for day in said.get("holidays", ())),
        # Nor did one always say when its event was to end.
        ends_at=time_in(said.get("ends_at")),
        versions={method["id"]: method["version"] for method in manifest["methods"]},
        # Nor has one from before there were editions.
        edition=int(said.get("edition", 1)),
    )


def unknown_methods(manifest: dict[str, Any]) -> list[str]:
    """Methods that this software has not, or not in this version; editions and constants
    likewise."""
    ours = {id_: (method.version, *method.earlier) for id_, method in METHODS.items()}
    wrong = [
        f"method {said['id']} version {said['version']} is not known here"
        for said in manifest["methods"]
        if said["version"] not in ours.get(said["id"], ())
    ]
    if (edition := terms_in(manifest).edition) not in range(1, EDITION + 1):
        wrong.append(f"edition {edition} of the figures is not known here")
    if manifest["constants"] != CONSTANTS:
        wrong.append("the constants are not those of this software")
    return wrong


def mended_methods(manifest: dict[str, Any]) -> list[str]:
    """Methods that are of an earlier version: why figures may differ from those of this one."""
    return [
        f"method {said['id']} was mended since version {said['version']}: "
        "its figures may differ for that"
        for said in manifest["methods"]
        if said["version"] in METHODS[said["id"]].earlier
    ]


# --- signatures -------------------------------------------------------------------------------


def public_key_of(seed: str) -> str:
    """The public key of a signing key, both in hexadecimal digits."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    return private.public_key().public_bytes_raw().hex()


def sign(manifest: bytes, *, key_id: str, seed: str) -> bytes:
    """`signature.json` for these bytes of a manifest."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    return canonical(
        {
            "algorithm": "Ed25519",
            "key_id": key_id,
            "public_key": private.public_key().public_bytes_raw().hex(),
            "signature": private.sign(manifest).hex(),
        }
    )


def wrong_with_signature(
    manifest: bytes, signature: bytes, *, key_id: str, trusted: Iterable[str] = ()
) -> str | None:
    """What is wrong, or None. With `trusted` public keys, it has to be one of them."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        said = orjson.loads(signature)
        if canonical(said) != signature or said["algorithm"] != "Ed25519":
            return "the signature is not in its canonical form"
        if said["key_id"] != key_id:
            return "the signature names another key than the manifest"
        if trusted and said["public_key"] not in trusted:
            return f"signed with {said['public_key']}, which is not the key you trust"
        public = Ed25519PublicKey.from_public_bytes(_bytes_in(said["public_key"]))
        public.verify(_bytes_in(said["signature"]), manifest)
    except InvalidSignature:
        return "the signature is not of this manifest"
    except (ValueError, KeyError, TypeError):
        return "the signature cannot be read"
    return None


def _bytes_in(text: str) -> bytes:
    found = bytes.fromhex(text)
    if found.hex() != text:
        raise ValueError("not in lower-case hexadecimal digits")
    return found


def sha256_of(pieces: Iterable[bytes]) -> str:
    """Of a file, piece by piece."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
