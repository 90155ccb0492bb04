from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from annotation.backends.ultralytics_people import box_region, find_people
from schemas.errors import ResourceError


def test_without_weights_there_is_no_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path))
    assert find_people() is None


@pytest.mark.slow
def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """slow: ultralytics imports torch."""
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    (tmp_path / "yolo-broken.pt").write_bytes(b"nonsense")
    with pytest.raises(ResourceError, match=r"yolo-broken\.pt cannot be loaded"):
        find_people()


def test_a_region_holds_the_box_with_room() -> None:
    roi = box_region(np.array([10.0, 20.0, 50.0, 120.0]))
    assert roi.center_px_2.tolist() == [30, 70]
    assert roi.side_px == pytest.approx(125)
    assert roi.angle_rad == 0
