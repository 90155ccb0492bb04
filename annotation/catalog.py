"""The annotators, in the order in which they finish, and how they run over one clip.

Adding an annotator: a module with its class and session, one line in `make_annotators`. See docs/annotation.
"""

from __future__ import annotations

from collections.abc import Sequence

from annotation.backends.ultralytics_people import find_people
from annotation.backends.ultralytics_things import find_things
from annotation.base import Annotator, AnnotatorSession, ClipFrame
from annotation.body import BodyAnnotator
from annotation.camera import CameraAnnotator
from annotation.contact import ContactAnnotator
from annotation.face import FaceAnnotator
from annotation.hands import HandsAnnotator
from annotation.people import PeopleNetworks
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import Track


def make_annotators() -> tuple[Annotator, ...]:
    """All annotators. Make them once per worker: each loads its network on its first frame and keeps it."""
    # Hands are looked for where the bodies' wrists are: both share one watch over the clip.
    people = PeopleNetworks(find_people())
    contact = ContactAnnotator(find_things())
    return (BodyAnnotator(people), FaceAnnotator(), HandsAnnotator(people), CameraAnnotator(), contact)


class ClipAnnotation:
    """All annotators at work on one clip. Open one after the other, never two at once with the same annotators.

    Raises: ValueError when an annotator comes before one it depends on, or two requests share a name but not a size.
    """

    def __init__(self, annotators: Sequence[Annotator], clip: ClipFrame) -> None:
        self.clip = clip
        self._requests: dict[str, FrameRequest] = {}
        self._open: list[tuple[Annotator, AnnotatorSession]] = []
        known: set[str] = set()
        for annotator in annotators:
            missing = sorted(set(annotator.after) - known)
            if missing:
                raise ValueError(f"annotator {annotator.name} must come after {', '.join(missing)} in the catalog")
            request = self._requests.setdefault(annotator.needs.name, annotator.needs)
            if request != annotator.needs:
                raise ValueError(f"annotator {annotator.name} asks for {annotator.needs}, another for {request}")
            known.add(annotator.name)
        self._open = [(annotator, annotator.open(clip)) for annotator in annotators]

    def requests(self) -> list[FrameRequest]:
        """The frames to decode, each request once however many annotators share it."""
        return list(self._requests.values())

    def observe(self, request_name: str, frames: FrameBatch) -> None:
        """Hands a window of frames to everyone who asked for them. Windows of one request come in order of time."""
        if request_name not in self._requests:
            raise ValueError(f"nobody asked for frames {request_name!r}; requests are {sorted(self._requests)}")
        for annotator, session in self._open:
            if annotator.needs.name == request_name:
                session.observe(frames)

    def finish(self) -> dict[str, Track]:
        """Tracks by member suffix ("body.npz", ...)."""
        by_name: dict[str, Track] = {}
        for annotator, session in self._open:
            by_name[annotator.name] = session.finish({name: by_name[name] for name in annotator.after})
        return {annotator.suffix: by_name[annotator.name] for annotator, _ in self._open}


def annotator_versions(annotators: Sequence[Annotator]) -> dict[str, dict[str, str]]:
    """Member suffix -> {name, version}."""
    return {a.suffix: {"name": a.name, "version": a.version} for a in annotators}
