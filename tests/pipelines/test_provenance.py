from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import moving_square_frames

from model.watermark import PUBLIC_KEY, detect
from pipelines import provenance, signing
from pipelines.provenance import publish_video, read_manifest
from pipelines.signing import CERTIFICATE_VARIABLE, KEY_VARIABLE, config_folder, load_credentials
from pipelines.verify_media import averaged_luma
from schemas.errors import DataError, RecipeError, ResourceError

GENERATION = {"model": {"fingerprint": "00112233aabbccdd"}, "consent": "own picture", "seed": 4}
PAYLOAD = 0x00112233


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (CERTIFICATE_VARIABLE, KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MOTIONLOOM_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def publish(path: Path, **changes: Any) -> Path:
    rgb_THWC = moving_square_frames(8, size_hw=(64, 64))
    publish_video(path, rgb_THWC, np.arange(8) / 8, PUBLIC_KEY, PAYLOAD, {**GENERATION, **changes}, load_credentials())
    return path


def boxes(data: bytes) -> list[tuple[bytes, int, int]]:
    """Kind, start and end of the file's outermost boxes. Source: ISO/IEC 14496-12."""
    found, start = [], 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        found.append((data[start + 4 : start + 8], start, start + size))
        start += size
    return found


def test_a_published_video_carries_both_marks_and_nothing_else_lies_around(tmp_path: Path) -> None:
    path = publish(tmp_path / "out" / "a.mp4")
    assert [file.name for file in path.parent.iterdir()] == ["a.mp4"]
    manifest = read_manifest(path)
    assert manifest.state == "valid"
    assert manifest.generation == {**GENERATION, "watermark": {"payload": "00112233", "key": "public"}}
    assert manifest.signer == "motionloom on this machine, motionloom"
    assert manifest.reason is not None
    assert "untrusted" in manifest.reason


def test_the_manifest_says_that_a_model_made_it(tmp_path: Path) -> None:
    import json

    import c2pa

    with publish(tmp_path / "a.mp4").open("rb") as file, c2pa.Reader("video/mp4", file) as reader:
        document = json.loads(reader.json())
    (actions,) = [
        assertion["data"]["actions"]
        for assertion in document["manifests"][document["active_manifest"]]["assertions"]
        if assertion["label"].startswith("c2pa.actions")
    ]
    assert [action["action"] for action in actions] == ["c2pa.created"]
    assert actions[0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_whoever_trusts_the_root_sees_a_trusted_signature(tmp_path: Path, config: Path) -> None:
    path = publish(tmp_path / "a.mp4")
    root_pem = (config / "signing" / "root.pem").read_text()
    assert read_manifest(path, root_pem).state == "trusted"
    signing.make_chain(tmp_path / "other")
    assert read_manifest(path, (tmp_path / "other" / "root.pem").read_text()).state == "valid"


def test_every_changed_byte_of_pictures_and_index_is_noticed(tmp_path: Path) -> None:
    path = publish(tmp_path / "a.mp4")
    data = path.read_bytes()
    covered = [box for box in boxes(data) if box[0] in (b"moov", b"mdat")]
    assert {kind for kind, _, _ in covered} == {b"moov", b"mdat"}
    changed = tmp_path / "changed.mp4"
    for _, start, end in covered:
        for position in np.linspace(start + 8, end - 1, 40).astype(int):
            damaged = bytearray(data)
            damaged[position] ^= 1
            changed.write_bytes(damaged)
            assert read_manifest(changed).state == "invalid", position
    changed.write_bytes(data + b"\0\0\0\x0cfreeabcd")
    assert read_manifest(changed).state == "valid", "C2PA leaves free boxes out: they hold nothing that is shown"


def test_a_changed_statement_is_noticed_and_not_repeated(tmp_path: Path) -> None:
    path = publish(tmp_path / "a.mp4")
    data = path.read_bytes()
    assert data.count(b"own picture") == 1
    path.write_bytes(data.replace(b"own picture", b"her picture"))
    manifest = read_manifest(path)
    assert manifest.state == "invalid"
    assert manifest.generation is None
    assert manifest.reason is not None


def test_a_video_without_manifest_says_so(tmp_path: Path) -> None:
    from model.video import write_mp4

    write_mp4(tmp_path / "a.mp4", moving_square_frames(4), np.arange(4) / 8)
    assert read_manifest(tmp_path / "a.mp4").state == "none"
    with pytest.raises(DataError, match="No such file"):
        read_manifest(tmp_path / "none.mp4")


def test_the_picture_is_marked_before_it_is_encoded(tmp_path: Path) -> None:
    from model.video import iterate_mp4

    path = publish(tmp_path / "a.mp4")
    rgb_THWC = np.stack([frame for frame, _ in iterate_mp4(path.read_bytes(), "a")])
    assert detect(rgb_THWC, PUBLIC_KEY).found
    luma_HW, cut_short = averaged_luma(path)
    assert luma_HW.shape == (64, 64)
    assert cut_short is None


def test_the_self_made_chain_is_kept_private_and_made_once(config: Path) -> None:
    first = load_credentials()
    assert first.self_made
    for file in (config / "signing").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert load_credentials() == first
    signing.make_chain(config / "signing")
    assert load_credentials() == first, "a chain that is there stays"


def test_own_certificates_are_used_and_wrong_ones_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    own = tmp_path / "own"
    signing.make_chain(own)
    monkeypatch.setenv(CERTIFICATE_VARIABLE, str(own / "chain.pem"))
    with pytest.raises(RecipeError, match=f"{KEY_VARIABLE} is not set"):
        load_credentials()
    monkeypatch.setenv(KEY_VARIABLE, str(own / "key.pem"))
    assert not load_credentials().self_made
    assert not config.exists(), "nothing is made where the user has certificates"
    assert read_manifest(publish(tmp_path / "a.mp4"), (own / "root.pem").read_text()).state == "trusted"
    signing.make_chain(tmp_path / "second")
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "second" / "key.pem"))
    with pytest.raises(RecipeError, match="not that of the first certificate"):
        load_credentials()
    (own / "key.pem").write_text("nonsense")
    monkeypatch.setenv(KEY_VARIABLE, str(own / "key.pem"))
    with pytest.raises(RecipeError, match="no PEM chain with an open PEM key"):
        load_credentials()
    monkeypatch.setenv(KEY_VARIABLE, str(own / "gone.pem"))
    with pytest.raises(RecipeError, match=r"gone.pem: No such file"):
        load_credentials()


def test_an_authority_does_not_sign_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """c2pa itself refuses certificates that are not meant for signing; that is the user's error, not a bug."""
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = signing._name("an authority")
    certificate = signing._certificate(name, name, key, key, authority=True)
    (tmp_path / "cert.pem").write_bytes(signing._pem(certificate))
    (tmp_path / "key.pem").write_bytes(signing._key_pem(key))
    monkeypatch.setenv(CERTIFICATE_VARIABLE, str(tmp_path / "cert.pem"))
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key.pem"))
    with pytest.raises(RecipeError, match="C2PA does not sign with the certificate given"):
        publish(tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_without_the_package_there_is_a_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials = load_credentials()
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    with pytest.raises(ResourceError, match="pip install c2pa-python"):
        provenance.publish_video(
            tmp_path / "a.mp4", moving_square_frames(2), np.arange(2) / 8, PUBLIC_KEY, 1, {}, credentials
        )
    assert not (tmp_path / "a.mp4").exists()


def test_a_folder_that_cannot_be_written_is_a_resource_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MOTIONLOOM_CONFIG", str(tmp_path / "file" / "below"))
    assert config_folder() == tmp_path / "file" / "below"
    with pytest.raises(ResourceError, match="MOTIONLOOM_CONFIG"):
        load_credentials()
