"""The annotators, in the order in which they finish, and how they run over one clip.

Adding an annotator: a module with its class and session, one line in `make_annotators`. See docs/annotation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

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
from schemas.tracks import BodyTrack, Track


def make_annotators() -> tuple[Annotator, ...]:
    """All annotators. Make them once per worker: each loads its network on its first frame and keeps it."""
    # Hands are looked for where the bodies' wrists are: both share one watch over the clip.
    people = PeopleNetworks(find_people())
    contact = ContactAnnotator(find_things())
    return (BodyAnnotator(people), FaceAnnotator(), HandsAnnotator(people), CameraAnnotator(), contact)


# Through whose sessions an annotator looks: they are opened although they do not run. The body's then shows the bodies
# of the track that is there already.
SEES_THROUGH: Mapping[str, tuple[str, ...]] = {"hands": ("body",), "body": ("hands",)}


class ClipAnnotation:
    """All annotators at work on one clip. Open one after the other, never two at once with the same annotators.

    running: names of those that measure; None lets all. The tracks of the others are taken from `stored`, by name.
    lap: told the name of an annotator whenever it has worked, by whoever measures time.
    Raises: ValueError when an annotator comes before one it depends on, or two requests share a name but not a size.
    """

    def __init__(
        self,
        annotators: Sequence[Annotator],
        clip: ClipFrame,
        running: Collection[str] | None = None,
        stored: Mapping[str, Track] | None = None,
        lap: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.clip = clip
        self._lap = lap
        self._stored = {} if stored is None else stored
        self._running = {annotator.name for annotator in annotators} if running is None else set(running)
        looking = self._running.union(*(SEES_THROUGH.get(name, ()) for name in self._running))
        self._requests: dict[str, FrameRequest] = {}
        self._open: list[tuple[Annotator, AnnotatorSession]] = []
        known: set[str] = set()
        for annotator in annotators:
            missing = sorted(set(annotator.after) - known)
            if missing:
                raise ValueError(f"annotator {annotator.name} must come after {', '.join(missing)} in the catalog")
            known.add(annotator.name)
            if annotator.name not in looking:
                continue
            request = self._requests.setdefault(annotator.needs.name, annotator.needs)
            if request != annotator.needs:
                raise ValueError(f"annotator {annotator.name} asks for {annotator.needs}, another for {request}")
        self._open = [(annotator, self._session(annotator)) for annotator in annotators if annotator.name in looking]

    def _session(self, annotator: Annotator) -> AnnotatorSession:
        track = None if annotator.name in self._running else self._stored.get(annotator.name)
        if isinstance(annotator, BodyAnnotator) and isinstance(track, BodyTrack):
            return annotator.recall(track, self.clip)
        return annotator.open(self.clip)

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
                self._lap(annotator.name)

    def finish(self) -> dict[str, Track]:
        """The tracks measured, by member suffix ("body.npz", ...)."""
        by_name = {name: track for name, track in self._stored.items() if name not in self._running}
        measured: dict[str, Track] = {}
        for annotator, session in self._open:
            if annotator.name not in self._running:
                continue
            track = session.finish({name: by_name[name] for name in annotator.after})
            by_name[annotator.name] = measured[annotator.suffix] = track
            self._lap(annotator.name)
        return measured


def annotator_versions(annotators: Sequence[Annotator]) -> dict[str, dict[str, str]]:
    """Member suffix -> {name, version}."""
    return {a.suffix: {"name": a.name, "version": a.version} for a in annotators}
