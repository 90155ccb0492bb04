from __future__ import annotations

from curation.takes import split_key, split_of


def test_views_of_a_take_share_a_key_and_other_videos_have_their_own() -> None:
    assert split_key("dance", "a" * 16) == split_key("dance", "b" * 16) == "take:dance"
    assert split_key(None, "a" * 16) == "a" * 16
    # A take called like a video is not that video.
    assert split_key("a" * 16, "b" * 16) != split_key(None, "a" * 16)


def test_the_split_is_stable_and_close_to_its_share() -> None:
    keys = [f"take:{number}" for number in range(4000)]
    val = {key for key in keys if split_of(key) == "val"}
    assert 0.08 < len(val) / len(keys) < 0.12
    assert val <= {key for key in keys if split_of(key, 0.2) == "val"}
    # Stored datasets rely on it: must not change between versions.
    assert [split_of(f"take:{number}", 0.5) for number in range(4)] == ["val", "train", "train", "train"]
