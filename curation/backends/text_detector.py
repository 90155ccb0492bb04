"""Where text stands in a picture: PP-OCR's detection network, from the file in the rapidocr wheel, by onnxruntime.

Only the detection network and only its file: rapidocr itself is not imported.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Probability from which a pixel is text, mean probability from which a region is, and how far its box grows beyond
# the shrunken text kernel that the network was trained on: rapidocr's settings for this network.
_PIXEL, _REGION, _UNCLIP = 0.3, 0.5, 1.6
_STRIDE_PX = 32
# A line of text is lower than this share of the picture's shorter side: on smooth, soft pictures without any text the
# network also answers with one blob over a third of the picture.
_TALLEST_LINE = 0.25


def text_detector_file() -> Path | None:
    """The network's file; None when rapidocr or onnxruntime is not installed (`pip install rapidocr onnxruntime`)."""
    package = importlib.util.find_spec("rapidocr")
    if package is None or package.origin is None or importlib.util.find_spec("onnxruntime") is None:
        return None
    files = sorted((Path(package.origin).parent / "models").glob("*_det_*.onnx"))
    return files[0] if files else None


@functools.cache
def _network() -> Any:
    """The loaded network, or None without its packages. One thread: the work is spread over videos."""
    path = text_detector_file()
    if path is None:
        return None
    # An optional package, and slow to import.
    onnxruntime: Any = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def text_mask(luma_HW: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """(H, W): True under the boxes of text. None when the network is not installed.

    The picture is read at its own size, rounded to multiples of 32 px. Grey pictures do: the network sees three equal
    channels. Source: Liao et al. 2020, "Real-time scene text detection with differentiable binarization".
    """
    network = _network()
    if network is None:
        return None
    height, width = luma_HW.shape
    size_wh = tuple(max(_STRIDE_PX, round(side / _STRIDE_PX) * _STRIDE_PX) for side in (width, height))
    grey = cv2.resize(luma_HW, size_wh, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 127.5 - 1.0
    (found,) = network.run(None, {network.get_inputs()[0].name: np.broadcast_to(grey, (1, 3, *grey.shape)).copy()})
    probability_HW = np.asarray(found, dtype=np.float32)[0, 0]
    boxes_HW = np.zeros(probability_HW.shape, dtype=np.uint8)
    pixels_HW = (probability_HW > _PIXEL).astype(np.uint8)
    contours, _ = cv2.findContours(pixels_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours:
        middle, (box_width, box_height), angle = cv2.minAreaRect(contour)
        if not 3 <= min(box_width, box_height) <= _TALLEST_LINE * min(size_wh):
            continue
        region_HW = np.zeros(probability_HW.shape, dtype=np.uint8)
        cv2.drawContours(region_HW, [contour], -1, 1, cv2.FILLED)
        if cv2.mean(probability_HW, region_HW)[0] < _REGION:
            continue
        grown = 2 * box_width * box_height * _UNCLIP / (2 * (box_width + box_height))
        corners = cv2.boxPoints((middle, (box_width + grown, box_height + grown), angle))
        cv2.fillPoly(boxes_HW, [np.rint(corners).astype(np.int32)], 1)
    mask: NDArray[np.bool_] = cv2.resize(boxes_HW, (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return mask
