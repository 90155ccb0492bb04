"""Motion tracks of one clip, as they lie in the shards.

Axes: P people (0 is the main subject), Q people but the main subject, T frames, J body joints (33, MediaPipe Pose
order) or hand joints (21), L face landmarks (478, MediaPipe Face Mesh with irises), K expression coefficients.
Units: px of the clip's native frame (x right, y down), metres, radians; pts_s in seconds of the clip, from 0.
What was not seen is 0 with `present` False (or confidence 0): a reader asks `present` first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas.codecs import decode_npz, encode_npz
from schemas.errors import SchemaError

BODY_JOINTS = 33
FACE_LANDMARKS = 478
HAND_JOINTS = 21

_T = TypeVar("_T", bound="_Track")


class _Track:
    """Shared checking and npz form; subclasses only state their shapes."""

    __slots__ = ()
    SHAPES: ClassVar[dict[str, tuple[str | int, ...]]]
    DTYPES: ClassVar[dict[str, type[np.generic]]] = {}
    # Arrays that samples of before lack: such a sample, and whoever makes a track without them, has zeros there.
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        axes: dict[str, int] = {}
        for name, shape in self.SHAPES.items():
            want = self.DTYPES.get(name, np.float32)
            if name in self.ADDED_LATER and getattr(self, name) is None:
                lengths = [axis if isinstance(axis, int) else axes.get(axis, 0) for axis in shape]
                object.__setattr__(self, name, np.zeros(lengths, want))
            value: NDArray[Any] = getattr(self, name)
            label = type(self).__name__
            if value.dtype != want:
                raise SchemaError(f"{label}.{name} has type {value.dtype}, expected {np.dtype(want)}")
            expected = "(" + ", ".join(str(axis) for axis in shape) + ")"
            if value.ndim != len(shape):
                raise SchemaError(f"{label}.{name} has shape {value.shape}, expected {expected}")
            for axis, length in zip(shape, value.shape, strict=True):
                wanted = axis if isinstance(axis, int) else axes.setdefault(axis, length)
                if wanted != length:
                    raise SchemaError(
                        f"{label}.{name} has shape {value.shape}, expected {expected} with {axis}={wanted}"
                    )
            if value.dtype.kind == "f" and not bool(np.isfinite(value).all()):
                raise SchemaError(f"{label}.{name} has NaN or infinite values")

    def to_npz(self) -> bytes:
        """Deterministic npz bytes: the same track gives the same bytes."""
        return encode_npz({field.name: np.asarray(getattr(self, field.name)) for field in fields(self)})  # type: ignore[arg-type]

    @classmethod
    def from_npz(cls: type[_T], data: bytes) -> _T:
        """Raises: SchemaError when an array is missing or has another shape or type."""
        arrays = decode_npz(data)
        values: dict[str, Any] = {}
        for field in fields(cls):  # type: ignore[arg-type]
            if field.name not in arrays:
                if field.name in cls.ADDED_LATER:
                    continue
                raise SchemaError(f"{cls.__name__} without {field.name}; it has {sorted(arrays)}")
            array = arrays[field.name]
            values[field.name] = tuple(str(name) for name in array) if field.name.endswith("_names") else array
        return cls(**values)


@dataclass(frozen=True, slots=True)
class BodyTrack(_Track):
    """Body joints of every person; world joints in metres with the origin between the hips (y down).

    filled_PT: frames of a present person that were not measured but put between their measured neighbours.
    """

    joints_px_PTJ2: NDArray[np.float32]
    joints_world_m_PTJ3: NDArray[np.float32]
    conf_PTJ: NDArray[np.float32]
    present_PT: NDArray[np.bool_]
    pts_s_T: NDArray[np.float64]
    filled_PT: NDArray[np.bool_] = None  # type: ignore[assignment]

    ADDED_LATER: ClassVar = frozenset({"filled_PT"})
    SHAPES: ClassVar = {
        "joints_px_PTJ2": ("P", "T", BODY_JOINTS, 2),
        "joints_world_m_PTJ3": ("P", "T", BODY_JOINTS, 3),
        "conf_PTJ": ("P", "T", BODY_JOINTS),
        "present_PT": ("P", "T"),
        "pts_s_T": ("T",),
        "filled_PT": ("P", "T"),
    }
    DTYPES: ClassVar = {"present_PT": np.bool_, "filled_PT": np.bool_, "pts_s_T": np.float64}


@dataclass(frozen=True, slots=True)
class FaceTrack(_Track):
    """The main subject's face.

    landmarks_3d_TL3:  px, depth in the same scale as x.
    head_rotation_T33: head axes to camera axes (x right, y down, z away), identity when absent.
    expression_TK:     coefficients in 0-1, named by `expression_names` (ARKit's names).
    gaze_T2:           angles of the gaze against the head in rad, mean of both eyes (the picture's right and down
                       positive, for a head that faces the camera).
    focal_px:          the camera's focal length behind head_rotation, estimated from the face; 0 without a face.
    """

    landmarks_px_TL2: NDArray[np.float32]
    landmarks_3d_TL3: NDArray[np.float32]
    head_rotation_T33: NDArray[np.float32]
    expression_TK: NDArray[np.float32]
    expression_names: tuple[str, ...]
    gaze_T2: NDArray[np.float32]
    present_T: NDArray[np.bool_]
    pts_s_T: NDArray[np.float64]
    focal_px: NDArray[np.float32] = None  # type: ignore[assignment]

    ADDED_LATER: ClassVar = frozenset({"focal_px"})
    SHAPES: ClassVar = {
        "landmarks_px_TL2": ("T", FACE_LANDMARKS, 2),
        "landmarks_3d_TL3": ("T", FACE_LANDMARKS, 3),
        "head_rotation_T33": ("T", 3, 3),
        "expression_TK": ("T", "K"),
        "gaze_T2": ("T", 2),
        "focal_px": (),
        "present_T": ("T",),
        "pts_s_T": ("T",),
    }
    DTYPES: ClassVar = {"present_T": np.bool_, "pts_s_T": np.float64}

    def __post_init__(self) -> None:
        _Track.__post_init__(self)
        if len(self.expression_names) != self.expression_TK.shape[1]:
            raise SchemaError(
                f"FaceTrack has {self.expression_TK.shape[1]} expression columns and "
                f"{len(self.expression_names)} expression names"
            )


@dataclass(frozen=True, slots=True)
class HandsTrack(_Track):
    """The main subject's hands: axis 1 is 0 for the person's left hand and 1 for the right.

    others_*: the same of the other people, row q for person q + 1 of the body track.
    """

    joints_px_T2J2: NDArray[np.float32]
    joints_world_m_T2J3: NDArray[np.float32]
    conf_T2: NDArray[np.float32]
    present_T2: NDArray[np.bool_]
    pts_s_T: NDArray[np.float64]
    others_px_QT2J2: NDArray[np.float32] = None  # type: ignore[assignment]
    others_world_m_QT2J3: NDArray[np.float32] = None  # type: ignore[assignment]
    others_conf_QT2: NDArray[np.float32] = None  # type: ignore[assignment]
    others_present_QT2: NDArray[np.bool_] = None  # type: ignore[assignment]

    ADDED_LATER: ClassVar = frozenset(
        {"others_px_QT2J2", "others_world_m_QT2J3", "others_conf_QT2", "others_present_QT2"}
    )
    SHAPES: ClassVar = {
        "joints_px_T2J2": ("T", 2, HAND_JOINTS, 2),
        "joints_world_m_T2J3": ("T", 2, HAND_JOINTS, 3),
        "conf_T2": ("T", 2),
        "present_T2": ("T", 2),
        "pts_s_T": ("T",),
        "others_px_QT2J2": ("Q", "T", 2, HAND_JOINTS, 2),
        "others_world_m_QT2J3": ("Q", "T", 2, HAND_JOINTS, 3),
        "others_conf_QT2": ("Q", "T", 2),
        "others_present_QT2": ("Q", "T", 2),
    }
    DTYPES: ClassVar = {"present_T2": np.bool_, "others_present_QT2": np.bool_, "pts_s_T": np.float64}


@dataclass(frozen=True, slots=True)
class CameraTrack(_Track):
    """Camera motion from the background.

    frame_from_previous_T33: homography that maps background pixels of frame t-1 to frame t; identity at t=0.
    pan_tilt_roll_rad_T3:    the camera's rotation since the previous frame: pan right, tilt up, roll clockwise
                             seen from behind the camera, each positive.
    zoom_T:                  scale of the picture against the previous frame; above 1 the view narrows.
    inlier_fraction_T:       share of background matches that agree with the homography, 0-1.
    travel_evidence_T:       what parallax says: above 0 the camera travels, below 0 it only turns, 0 cannot be told; in
                             units of a criterion (GRIC) that adds up over frames, see docs/annotation.
    travel_T3:               where it goes while it travels: unit vector in its own axes (x right, y down, z forward),
                             zeros where not known.
    turned_rad_T2:           how far it turns (right, up) in a frame while it travels: the sign is measured, the size
                             hangs on the focal length; zeros where it does not travel.
    """

    frame_from_previous_T33: NDArray[np.float32]
    pan_tilt_roll_rad_T3: NDArray[np.float32]
    zoom_T: NDArray[np.float32]
    inlier_fraction_T: NDArray[np.float32]
    pts_s_T: NDArray[np.float64]
    travel_evidence_T: NDArray[np.float32] = None  # type: ignore[assignment]
    travel_T3: NDArray[np.float32] = None  # type: ignore[assignment]
    turned_rad_T2: NDArray[np.float32] = None  # type: ignore[assignment]

    ADDED_LATER: ClassVar = frozenset({"travel_evidence_T", "travel_T3", "turned_rad_T2"})
    SHAPES: ClassVar = {
        "frame_from_previous_T33": ("T", 3, 3),
        "pan_tilt_roll_rad_T3": ("T", 3),
        "zoom_T": ("T",),
        "inlier_fraction_T": ("T",),
        "pts_s_T": ("T",),
        "travel_evidence_T": ("T",),
        "travel_T3": ("T", 3),
        "turned_rad_T2": ("T", 2),
    }
    DTYPES: ClassVar = {"pts_s_T": np.float64}


@dataclass(frozen=True, slots=True)
class ContactTrack(_Track):
    """What the surroundings of the main subject's hands do; axis 1 is 0 for the left hand and 1 for the right.

    carried_T2:               share of the ring around the fingers that moves with the hand and not with the background
                              or the trunk, 0-1; 0 where `known_T2` is False: hand unseen, small or at rest.
    motion_palms_per_s_T2:    speed of the hand against whichever of background and trunk it follows more, in palm
                              lengths per second.
    thing_px_N4, thing_s_N:   boxes (left, top, right, bottom) and clip times of N things that a detector found in the
                              frames it was shown, named by `thing_names`; none without a detector.
    """

    carried_T2: NDArray[np.float32]
    known_T2: NDArray[np.bool_]
    motion_palms_per_s_T2: NDArray[np.float32]
    thing_px_N4: NDArray[np.float32]
    thing_s_N: NDArray[np.float64]
    thing_names: tuple[str, ...]
    pts_s_T: NDArray[np.float64]

    SHAPES: ClassVar = {
        "carried_T2": ("T", 2),
        "known_T2": ("T", 2),
        "motion_palms_per_s_T2": ("T", 2),
        "thing_px_N4": ("N", 4),
        "thing_s_N": ("N",),
        "pts_s_T": ("T",),
    }
    DTYPES: ClassVar = {"known_T2": np.bool_, "thing_s_N": np.float64, "pts_s_T": np.float64}

    def __post_init__(self) -> None:
        _Track.__post_init__(self)
        if len(self.thing_names) != len(self.thing_px_N4):
            raise SchemaError(f"ContactTrack has {len(self.thing_px_N4)} boxes and {len(self.thing_names)} thing names")


Track = BodyTrack | FaceTrack | HandsTrack | CameraTrack | ContactTrack
TRACKS: dict[str, type[BodyTrack] | type[FaceTrack] | type[HandsTrack] | type[CameraTrack] | type[ContactTrack]] = {
    "body.npz": BodyTrack,
    "face.npz": FaceTrack,
    "hands.npz": HandsTrack,
    "camera.npz": CameraTrack,
    "contact.npz": ContactTrack,
}
