"""How a generated video is written: marked, then signed with a C2PA manifest that says what made it from what.

C2PA is a standard for such manifests (https://spec.c2pa.org). Signing and checking work offline: no timestamp
authority, no remote manifests, no revocation lists.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.signing import Credentials
from schemas.errors import DataError, RecipeError, ResourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GENERATION = "org.motionloom.generation"
"""Label of our own assertion."""
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media made by a trained model."""
_MP4 = "video/mp4"
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


@dataclass(frozen=True, slots=True)
class ManifestState:
    """What a file says about its origin.

    state: trusted (signed by somebody the anchors vouch for), valid (unchanged since it was signed, by whom is not
    vouched for), invalid (with the reason) or none. generation: our own assertion, where there is one.
    """

    state: str
    reason: str | None = None
    signer: str | None = None
    generation: Mapping[str, Any] | None = None

    @property
    def holds(self) -> bool:
        return self.state in ("trusted", "valid")


def require_c2pa() -> Any:
    """The c2pa package. Raises: ResourceError when it is missing or does not load."""
    try:
        import c2pa
    except (ImportError, OSError) as error:
        raise ResourceError(f"videos cannot be signed or checked ({error}): pip install c2pa-python") from error
    return c2pa


def publish_video(
    output: Path,
    rgb_THWC: NDArray[np.uint8],
    pts_s_T: NDArray[np.float64],
    key: bytes,
    payload: int,
    generation: Mapping[str, Any],
    credentials: Credentials,
) -> None:
    """Writes the frames as MP4 with watermark and manifest. The file appears under its name only when it has both.

    generation: the content of our assertion; the payload is added to it.
    Raises: DataError from `write_mp4`; RecipeError when C2PA refuses the certificate; ResourceError without c2pa.
    """
    from model.video import write_mp4
    from model.watermark import PUBLIC_KEY, embed

    require_c2pa()
    height, width = (side // 2 * 2 for side in rgb_THWC.shape[1:3])
    # Cropped first: H.264 takes even sides only, and the mark lies in the picture as it is written.
    marked_THWC = embed(rgb_THWC[:, :height, :width], key, payload)
    mark = {"payload": f"{payload:08x}", "key": "public" if key == PUBLIC_KEY else "private"}
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        bare, signed = Path(folder) / "bare.mp4", Path(folder) / "signed.mp4"
        write_mp4(bare, marked_THWC, pts_s_T)
        sign_mp4(bare, signed, output.name, {**generation, "watermark": mark}, credentials)
        signed.replace(output)


def sign_mp4(source: Path, target: Path, title: str, generation: Mapping[str, Any], credentials: Credentials) -> None:
    """A copy of the MP4 with a manifest. Raises: RecipeError when c2pa refuses the certificate."""
    c2pa = require_c2pa()
    software = {"name": "motionloom", "version": importlib.metadata.version("motionloom")}
    created = {"action": "c2pa.created", "digitalSourceType": _SOURCE_TYPE, "softwareAgent": software}
    manifest = {
        "claim_generator_info": [software],
        "title": title,
        "format": _MP4,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": GENERATION, "data": dict(generation)},
        ],
    }
    info = c2pa.C2paSignerInfo(
        credentials.algorithm, credentials.chain_pem.encode(), credentials.key_pem.encode(), None
    )
    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(_OFFLINE)) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(manifest, context=context) as builder,
            source.open("rb") as read,
            target.open("w+b") as write,
        ):
            builder.sign(signer, _MP4, read, write)
    except c2pa.C2paError as error:
        whose = "the self-made certificate" if credentials.self_made else "the certificate given for signing"
        raise RecipeError(f"C2PA does not sign with {whose}: {error}") from error


def read_manifest(path: Path, anchors_pem: str | None = None) -> ManifestState:
    """The state of a file's manifest. anchors_pem: certificates of authorities that the caller trusts.

    Raises: ResourceError without c2pa; DataError when the file cannot be opened.
    """
    c2pa = require_c2pa()
    settings: dict[str, Any] = dict(_OFFLINE)
    if anchors_pem:
        settings["trust"] = {"user_anchors": anchors_pem}
    try:
        with c2pa.Context(c2pa.Settings.from_dict(settings)) as context, path.open("rb") as file:
            reader = c2pa.Reader.try_create(_MP4, file, context=context)
            if reader is None:
                return ManifestState("none", "the file has no C2PA manifest")
            with reader:
                document = json.loads(reader.json())
    except c2pa.C2paError as error:
        return ManifestState("invalid", f"the manifest cannot be read: {error}")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    return _state(document)


def _state(document: Mapping[str, Any]) -> ManifestState:
    state = str(document.get("validation_state", "Invalid")).lower()
    active = document.get("manifests", {}).get(document.get("active_manifest"), {})
    signed = active.get("signature_info") or {}
    generation = next((a["data"] for a in active.get("assertions", ()) if a.get("label") == GENERATION), None)
    problems = document.get("validation_status") or ()
    reason = "; ".join(dict.fromkeys(f"{p.get('code')}: {p.get('explanation')}" for p in problems)) or None
    signer = ", ".join(str(signed[name]) for name in ("common_name", "issuer") if signed.get(name)) or None
    if state not in ("trusted", "valid"):
        # Nothing an invalid manifest says may be taken for true.
        return ManifestState("invalid", reason or "the manifest does not validate", signer)
    return ManifestState(state, reason, signer, generation)
