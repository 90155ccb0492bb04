"""How far limbs measured from one picture are off: the same person in a clip and in single frames of it.

    PYTHONPATH=. python benchmarks/limb_proportions.py FILE... [--pictures 8]

Arms and legs in torso lengths (model/data/retarget.py) of the whole clip and of single frames annotated as pictures. It
prints log(picture / clip): standard deviation and largest, in space and as seen, and in how many pictures `animate`
would change the limbs of a person driven by the own clip.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.decode import decode_for
from model.data.retarget import limb_factors, proportions_in
from pipelines.annotated_media import annotated_picture, annotated_video
from schemas.frames import FrameRequest


def frames_of(path: Path, count: int) -> list[NDArray[np.uint8]]:
    """Evenly spaced frames of the whole clip, (H, W, 3) RGB."""
    every: list[NDArray[np.uint8]] = []
    decode_for(path, [FrameRequest("all", None, None)], lambda _, batch: every.extend(batch.rgb_THWC))
    return [every[int(at)] for at in np.linspace(2, len(every) - 3, count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--pictures", type=int, default=8)
    args = parser.parse_args()
    print("| clip | limbs | pictures | space: sd | largest | as seen: sd | largest | changed |\n" + "|---" * 8 + "|")
    for path in args.files:
        clip = proportions_in(annotated_video(path, str(path))[0].body)
        pictures = []
        with tempfile.TemporaryDirectory() as folder:
            for rgb_HWC in frames_of(path, args.pictures):
                still = Path(folder) / "still.png"
                cv2.imwrite(str(still), rgb_HWC[..., ::-1])
                pictures.append(proportions_in(annotated_picture(still, str(path))[1].body))
        for group in ("arms", "legs"):
            cells = [path.stem, group, str(sum(group in each.in_space for each in pictures))]
            for whole, parts in (
                (clip.in_space, [each.in_space for each in pictures]),
                (clip.in_picture, [each.in_picture for each in pictures]),
            ):
                off = [float(np.log(each[group] / whole[group])) for each in parts if group in each and group in whole]
                cells += [f"{np.std(off):.3f}", f"{np.abs(off).max():.3f}"] if off else ["not seen", ""]
            cells.append(str(sum(group in limb_factors(clip, [each]) for each in pictures)))
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
