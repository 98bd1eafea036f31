"""Towers are counted from their sections."""

from __future__ import annotations

import pytest

from hwval.planning.vision import tower_params

QWEN25_VL = {
    "vision_config": {
        "model_type": "qwen2_5_vl",
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
}


def test_tower_of_qwen25_vl() -> None:
    """Published: 8.29 billion in all, 7.62 of them text."""
    assert tower_params(QWEN25_VL, 3584) == pytest.approx(0.677e9, rel=0.02)


def test_no_tower_no_parameters() -> None:
    """Text models, and sections that do not say their size."""
    assert tower_params({}, 4096) == 0
    assert tower_params({"vision_config": {"hidden_size": 1024}}, 4096) == 0
    assert tower_params({"audio_config": {"d_model": 1280, "encoder_layers": 32}}, 4096) > 0
