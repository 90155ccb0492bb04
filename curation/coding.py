"""How coarsely a frame was coded: the quantiser that its bitstream states, as FFmpeg's decoders export it.

Axes: B coding blocks.
"""

from __future__ import annotations

import av
import numpy as np
from av.sidedata.encparams import VideoEncParamsType
from av.sidedata.sidedata import Type

# AVVideoBlockParams (libavutil/video_enc_params.h): where a block is, in four 32-bit integers; the fifth is this.
_DELTA_QP = slice(16, 20)
# VP9's AC quantiser, in eighths, at some indices (VP9 bitstream specification, 8.6.1); between them linear within 2 %.
_VP9_INDEX = (0, 1, 95, 120, 150, 176, 190, 205, 220, 238, 255)
_VP9_AC = (4, 8, 102, 152, 255, 408, 530, 702, 933, 1317, 1828)


def export_coding(stream: av.video.stream.VideoStream) -> None:
    """Has the decoder say how frames were coded; before its first frame. Those of H.264, VP9 and MPEG-1/2/4 do."""
    stream.codec_context.options = {"export_side_data": "venc_params"}
    # A thread per frame would hand frames out whose quantisers are still being read: other values in every run.
    stream.thread_type = "SLICE"


def coding_step(frame: av.VideoFrame) -> float | None:
    """Step of the quantiser of luma's transform coefficients, in 8-bit luma levels; geometric mean over the blocks.

    Steps are those of an orthonormal transform, so that codecs compare; H.264 has 0.6 to 228.
    None where the decoder does not say.
    Source: FFmpeg, libavutil/video_enc_params.h; H.264 8.5.9: a step is 1 at QP 4 and doubles every 6 QP.
    """
    params = frame.side_data.get(Type.VIDEO_ENC_PARAMS)
    if params is None:
        return None
    qp_B = np.full(1, params.qp)
    if params.nb_blocks:
        bytes_B = np.frombuffer(params, np.uint8)[params.blocks_offset :].reshape(-1, params.block_size)
        qp_B = params.qp + np.ascontiguousarray(bytes_B[:, _DELTA_QP]).view(np.int32)[:, 0]
    if params.codec_type == VideoEncParamsType.H264:
        # QP counts in levels of the stream's own depth.
        return float(2.0 ** ((qp_B.mean() - 4.0) / 6.0 + 8 - frame.format.components[0].bits))
    # MPEG-1/2/4: FFmpeg gives all of them in MPEG-2's scale, which is the step where the weighting matrix is flat.
    step_B = np.interp(qp_B, _VP9_INDEX, _VP9_AC) / 8 if params.codec_type == VideoEncParamsType.VP9 else qp_B
    return float(np.exp(np.log(np.maximum(step_B, 0.5)).mean()))
