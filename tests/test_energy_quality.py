"""Bits per byte: interval, identity of what was read, and classical compressors on it."""

import hashlib
import math
import zlib

import numpy as np
import pytest

from hw_sim.energy.compressors import COMPRESSORS, compress
from hw_sim.energy.quality import interval, interval_of, text_read
from hw_sim.run.streams import next_token_nats, token_nats
from spikegpt.tokenizer import Bytes, Characters


def test_an_interval_of_equal_blocks_is_a_point_and_of_two_blocks_their_range():
    found = interval_of(np.full(1000, math.log(2)), np.zeros(1001, np.uint8), Bytes(), block=100)
    assert found == pytest.approx((1, 1))
    two_bytes = interval_of(np.full(4, math.log(2)), np.array([0, 1, 0, 1, 1]), Characters("éü"), block=2)
    assert two_bytes == pytest.approx((0.5, 0.5))
    assert interval([1.0, 3.0], [1, 1]) == (1.0, 3.0)  # 1/4, 1/2, 1/4: both ends hold more than 2.5 %
    assert interval([9.0, 3.0], [9, 1]) == (1.0, 3.0)  # bits over bytes, not their mean
    assert interval_of(np.ones(299), np.zeros(300, np.uint8), Bytes(), block=150) is None


def test_an_interval_is_that_of_the_normal_law_where_blocks_are_independent():
    """The half width of the mean of n independent blocks is 1.96 sigma / sqrt(n)."""
    bits = np.random.default_rng(1).normal(100, 10, 400)
    low, high = interval(bits.tolist(), [100] * 400)
    assert (high - low) / 2 == pytest.approx(1.96 * bits.std() / 100 / 20, rel=0.1)
    assert interval(bits.tolist(), [100] * 400) == (low, high)


def test_blocks_see_what_single_tokens_hide():
    """Runs of 256 easy and 256 hard tokens: as independent tokens the interval would be sixteen times too narrow."""
    nats = np.repeat(np.random.default_rng(0).choice([0.5, 1.5], 200), 256)
    tokens = np.zeros(len(nats) + 1, np.uint8)
    wide, narrow = (np.ptp(interval_of(nats, tokens, Bytes(), block=b)) for b in (256, 1))
    assert 12 < wide / narrow < 20


def test_nats_of_each_token_add_up_to_the_score():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(23, 7)).astype(np.float32), rng.integers(0, 7, 23)
    each = token_nats(logits, targets)
    by_hand = [-math.log(math.exp(z[t]) / sum(map(math.exp, z))) for z, t in zip(logits.tolist(), targets, strict=True)]
    assert each == pytest.approx(by_hand)
    assert next_token_nats(logits, targets) == math.fsum(each)


def test_what_was_read_is_named_by_the_hash_of_its_bytes():
    raw = "so was es ist, é".encode()
    tokens = Bytes().encode(b"before" + raw)
    found = text_read("t, all", "00", tokens, tokens[6:], Bytes())
    assert (found.offset, found.tokens, found.bytes) == (6, len(raw), len(raw))
    assert found.sha256 == hashlib.sha256(raw).hexdigest()
    letters = Characters("".join(sorted(set(raw.decode()))))
    whole = letters.encode(raw)
    same = text_read("t, all", "00", whole, whole, letters)
    assert same.sha256 == found.sha256  # the same bytes, whatever cuts them
    assert (same.offset, same.tokens) == (0, len(raw) - 1)


def test_compressors_are_scored_on_the_part_and_after_the_training_text():
    rng = np.random.default_rng(0)
    training = bytes(rng.integers(97, 105, 20_000, np.uint8))
    part = training[3_000:8_000]  # seen before: nearly free for those that look back far enough
    rows = {row.name: row for row in compress(part, training)}
    assert set(rows) == set(COMPRESSORS)
    assert rows["gzip"].alone == 8 * len(zlib.compress(part, 9)) / len(part)
    for name in ("xz", "zstd", "gzip"):
        assert rows[name].alone > 2.9  # eight letters, three bits
        assert rows[name].after_training < 0.3
    assert all(row.after_training is None and row.training_bytes == 0 for row in compress(part, None))
