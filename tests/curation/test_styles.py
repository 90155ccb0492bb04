from __future__ import annotations

import pytest

from curation.styles import STYLES, style_name


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("real", "real"),
        ("Real (film)", "real"),
        ("real, black-and-white silent film, pillarboxed", "real"),
        ("photo-real AI-generated", "synthetic"),
        ("3D animation", "3d"),
        ("2D anime", "anime"),
        ("2D cartoon", "cartoon"),
        ("rendered DWPose skeleton", "skeleton"),
        ("screen", "screen"),
        ("test card", "test_card"),
        ("stylised", "stylised"),
        ("stylized", "stylised"),
        ("Shadow play", "shadow play"),
    ],
)
def test_words_of_manifests_become_one_name(stated: str, expected: str) -> None:
    assert style_name(stated) == expected


def test_every_name_means_itself() -> None:
    assert [style_name(name.replace("_", " ")) for name in STYLES] == list(STYLES)
