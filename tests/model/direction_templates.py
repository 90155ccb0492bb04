"""Templates of sentences as people write them, with what a reader takes from them; the parser was written with these.

`{a|b}` is one of several wordings, `%S` left or right, `%V` up or down, `%O` in or out, in the text and in the labels.
Rows: text, camera labels (`-` none), orientation (`-` none), as in held_aside_sentences.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

Row = tuple[str, str, str]

TEMPLATES: tuple[Row, ...] = (
    # pan
    ("{The camera|Camera|The shot|The view} {pans|pans slowly|slowly pans|is panning} "
    "{%S|to the %S|towards the %S}.", "pan_%S", "-"),
    ("{A slow|A quick|One smooth} pan {%S|to the %S} {over the rooftops|across the hall}.", "pan_%S", "-"),
    ("A man dances, {camera panning|the camera pans|slow pan} to the %S.", "pan_%S", "-"),
    ("We pan {%S|to the %S} as the train arrives.", "pan_%S", "-"),
    ("Pan {%S|the camera %S|camera to the %S}.", "pan_%S", "-"),
    ("The camera pans {from left to right|from the left to the right|left to right}.", "pan_right", "-"),
    ("The camera pans {across the crowd from right to left|from the right to the left}.", "pan_left", "-"),
    ("The camera {whip-pans|whip pans|snap-pans} %S.", "pan_%S", "-"),
    ("With a {whip|swish} pan to the %S we find the detective.", "pan_%S", "-"),
    ("The camera {turns|swings|swivels|sweeps} {%S|to the %S}.", "pan_%S", "-"),
    ("The camera pans {slowly across the room to the %S|past the table to the %S}.", "pan_%S", "-"),
    ("A woman sings {while|as} the camera pans {%S|to the %S}.", "pan_%S", "-"),
    ("{While|As} the camera pans %S, a woman sings.", "pan_%S", "-"),
    ("The camera starts panning to the %S.", "pan_%S", "-"),
    ("Leftward pans of the skyline are boring; the camera pans rightward here.", "pan_right", "-"),
    ("The camera pans %S and %V.", "pan_%S tilt_%V", "-"),
    ("The camera pans {left and right|left, then right|to the left and then to the right}.", "pan_left pan_right", "-"),
    ("The camera pans back to the %S.", "pan_%S", "-"),
    ("A street musician plays, {the camera gently panning|with the camera panning|camera slowly panning} "
    "%S.", "pan_%S", "-"),
    ("The camera looks %S.", "pan_%S", "-"),
    # tilt
    ("{The camera|Camera|The shot} {tilts|slowly tilts|tilts gradually|is tilting} "
    "{%V|%Vward|%Vwards}.", "tilt_%V", "-"),
    ("{A slow|A fast} tilt %V {along the tower|from her shoes to her face}.", "tilt_%V", "-"),
    ("Tilt {%V|the camera %V}.", "tilt_%V", "-"),
    ("The camera pans {up|upward} to the sky.", "tilt_up", "-"),
    ("The camera pans {down|downward} to his shoes.", "tilt_down", "-"),
    ("The camera tilts %V to reveal {a giant|the city}.", "tilt_%V", "-"),
    ("A climber rests, {the camera tilts|camera tilting|slow tilt} %V.", "tilt_%V", "-"),
    ("The lens tilts %V.", "tilt_%V", "-"),
    ("The camera {swings|turns} %V.", "tilt_%V", "-"),
    ("We tilt %V along the dress.", "tilt_%V", "-"),
    # roll
    ("The camera {rolls|slowly rolls|is rolling} {clockwise|cw}.", "roll_cw", "-"),
    ("The camera {rolls|rolls slowly} "
    "{counter-clockwise|counterclockwise|anticlockwise|anti-clockwise}.", "roll_ccw", "-"),
    ("The camera rolls {right|to the right}.", "roll_cw", "-"),
    ("The camera rolls {left|to the left}.", "roll_ccw", "-"),
    ("The {camera|view|frame} {rotates|spins|turns|twists} clockwise.", "roll_cw", "-"),
    ("The {camera|view|picture} {rotates|spins|turns} counterclockwise.", "roll_ccw", "-"),
    ("A slow camera roll clockwise.", "roll_cw", "-"),
    ("The camera tilts {to the left|counter-clockwise}.", "roll_ccw", "-"),
    ("The camera tilts {sideways to the right|to the right|clockwise}.", "roll_cw", "-"),
    # zoom
    ("{The camera|Camera|The shot|The lens} {zooms|slowly zooms|zooms quickly|is zooming} %O.", "zoom_%O", "-"),
    ("{Slow|Fast|Gentle} zoom %O.", "zoom_%O", "-"),
    ("{A|A slow|A dramatic} zoom-in on {her face|the letter}.", "zoom_in", "-"),
    ("The camera crash-zooms %O.", "zoom_%O", "-"),
    ("Zoom {%O|the camera %O}.", "zoom_%O", "-"),
    ("The camera zooms {closer|in closer|in tightly} on his hands.", "zoom_in", "-"),
    ("The camera zooms {out to show the valley|all the way out|back out}.", "zoom_out", "-"),
    ("The {view|shot|frame} {widens|slowly widens}.", "zoom_out", "-"),
    ("The {shot|frame} {tightens|narrows} on her lips.", "zoom_in", "-"),
    ("She reads {as|while} we {slowly zoom|zoom} %O.", "zoom_%O", "-"),
    ("A baker kneads dough, {zooming|the camera zooming|camera zoom} %O.", "zoom_%O", "-"),
    ("{Zooming|Slowly zooming} %O, the camera shows a pianist.", "zoom_%O", "-"),
    ("The camera zooms onto the ring.", "zoom_in", "-"),
    ("The camera keeps zooming %O.", "zoom_%O", "-"),
    # dolly
    ("{The camera|Camera} {dollies|slowly dollies|is dollying} {%O}.", "dolly_%O", "-"),
    ("The camera dollies {forward|towards her|closer}.", "dolly_in", "-"),
    ("The camera dollies {back|backward|backwards|away}.", "dolly_out", "-"),
    ("A {slow|smooth} dolly-in {on the bride|towards the door}.", "dolly_in", "-"),
    ("A {slow|smooth} dolly out.", "dolly_out", "-"),
    ("The camera {pushes in|pushes in slowly|pushes forward|pushes towards the throne}.", "dolly_in", "-"),
    ("The camera {pulls back|pulls out|slowly pulls away} from the cottage.", "dolly_out", "-"),
    ("{Slow push-in|A gentle push in|Push in slowly} on the clown.", "dolly_in", "-"),
    ("{Pull back|Pull out} to show the whole team.", "dolly_out", "-"),
    ("The camera moves {in|closer|forward|towards the fire|in on him}.", "dolly_in", "-"),
    ("The camera {moves|drifts|glides|travels} {back|backwards|away from her}.", "dolly_out", "-"),
    ("The camera {approaches|advances|closes in on} the piano.", "dolly_in", "-"),
    ("The camera {retreats|recedes|backs away|backs up slowly away} from the stage.", "dolly_out", "-"),
    ("The camera {creeps|inches|flies|rushes} forward.", "dolly_in", "-"),
    ("The camera tracks {forward|in}.", "dolly_in", "-"),
    ("The camera tracks {back|backward|out}.", "dolly_out", "-"),
    # truck
    ("{The camera|Camera} {trucks|slowly trucks|is trucking} {%S|to the %S}.", "truck_%S", "-"),
    ("The camera {tracks|slides|glides|drifts|moves|travels|shifts} {%S|to the %S}.", "truck_%S", "-"),
    ("{Truck|Track} {%S|the camera %S}.", "truck_%S", "-"),
    ("A runner sprints, the camera {tracking|sliding|gliding} {%S|to the %S} {beside her|with her}.", "truck_%S", "-"),
    ("A tracking shot that {moves|slides} to the %S.", "truck_%S", "-"),
    ("The camera moves {sideways to the %S|laterally to the %S}.", "truck_%S", "-"),
    ("The camera dollies %S.", "truck_%S", "-"),
    ("The camera moves from left to right.", "truck_right", "-"),
    # pedestal
    ("{The camera|Camera} {pedestals|cranes|booms|moves|glides} {%V|%Vward|%Vwards}.", "pedestal_%V", "-"),
    ("The camera {rises|ascends|lifts|rises up} above the dancers.", "pedestal_up", "-"),
    ("The camera {descends|lowers|sinks|drops} {slowly|to the ground}.", "pedestal_down", "-"),
    ("{A crane|A slow pedestal|A boom} shot %V.", "pedestal_%V", "-"),
    ("A {crane|pedestal} %V {over the garden|along the wall}.", "pedestal_%V", "-"),
    ("The drone {rises|climbs} over the hill.", "pedestal_up", "-"),
    ("The camera floats %V.", "pedestal_%V", "-"),
    # orbit
    ("The camera {orbits|arcs|circles} {%S|to the %S}.", "orbit_%S", "-"),
    ("The camera {orbits|circles|revolves} around {her|the dancer} {to the %S}.", "orbit_%S", "-"),
    ("The camera {orbits|circles|arcs around} {him|the table}.", "orbit", "-"),
    ("The camera {moves|rotates|travels|turns|goes} around {her|the fighter}.", "orbit", "-"),
    ("The camera moves in {a circle|an arc|a half circle} around the singer.", "orbit", "-"),
    ("The camera orbits clockwise{| around the knight}.", "orbit_left", "-"),
    ("The camera orbits {counterclockwise|anti-clockwise}.", "orbit_right", "-"),
    ("{An|A slow} {orbit|arc} {%S|to the %S} around the vase.", "orbit_%S", "-"),
    ("A {slow orbit|smooth arc} shot around the bride.", "orbit", "-"),
    ("A dancer leaps, the camera {circling|orbiting} her.", "orbit", "-"),
    # static
    ("{Static|Fixed|Stationary|Locked-off|Locked off} {camera|shot}.", "static", "-"),
    ("The camera {is|stays|remains|keeps} "
    "{still|static|fixed|completely still|perfectly still|in place}.", "static", "-"),
    ("The camera {does not move|doesn't move|never moves|is not moving}.", "static", "-"),
    ("{No camera movement|No camera motion|Without any camera movement|No camera moves}.", "static", "-"),
    ("A nurse smiles, {static shot|fixed camera|the camera holds still|camera locked}.", "static", "-"),
    ("Filmed {on a tripod|with a static camera|with a fixed camera}.", "static", "-"),
    ("The camera holds {steady|still|its position|position} {|while he reads}.", "static", "-"),
    ("Camera movement: {none|static shot}.", "static", "-"),
    ("There is no movement of the camera.", "static", "-"),
    ("The frame {stays|remains} {static|locked|motionless}.", "static", "-"),
    # handheld
    ("{Handheld camera|Handheld shot|Hand-held footage|Handheld style}.", "handheld", "-"),
    ("The camera is {handheld|hand-held|slightly handheld}.", "handheld", "-"),
    ("The handheld camera pans %S.", "handheld pan_%S", "-"),
    ("{Shaky camera|A shaky cam|Shaky footage|The camera shakes|The camera wobbles}.", "handheld", "-"),
    ("Filmed handheld, a boxer trains.", "handheld", "-"),
    ("A handheld tracking shot moving %S.", "handheld truck_%S", "-"),
    # several at once
    ("The camera pans %S while {zooming|slowly zooming} %O.", "pan_%S zoom_%O", "-"),
    ("The camera {tilts|is tilting} %V and pans %S.", "pan_%S tilt_%V", "-"),
    ("The camera dollies %O while tilting %V.", "dolly_%O tilt_%V", "-"),
    ("The camera pans %S, tilts %V and zooms %O.", "pan_%S tilt_%V zoom_%O", "-"),
    ("Pan %S, tilt %V, zoom %O.", "pan_%S tilt_%V zoom_%O", "-"),
    ("Camera: pan %S + zoom %O.", "pan_%S zoom_%O", "-"),
    ("The camera pans %S with a slow zoom %O.", "pan_%S zoom_%O", "-"),
    ("The camera orbits %S while rising.", "orbit_%S pedestal_up", "-"),
    ("The camera pushes in while rolling clockwise.", "dolly_in roll_cw", "-"),
    ("A dolly zoom: the camera dollies out while zooming in.", "dolly_out zoom_in", "-"),
    ("The camera rises and tilts down.", "pedestal_up tilt_down", "-"),
    # in order
    ("First the camera pans %S, then it tilts %V.", "pan_%S tilt_%V", "-"),
    ("The camera pans %S{, then| and then|, and finally} zooms %O.", "pan_%S zoom_%O", "-"),
    ("The camera pans %S. {Then|Next,|After that,|Afterwards} {it|the camera} zooms %O.", "pan_%S zoom_%O", "-"),
    ("{After|Before} panning %S, the camera zooms %O.", "pan_%S zoom_%O", "-"),
    ("The camera zooms %O {after|before} panning %S.", "pan_%S zoom_%O", "-"),
    ("A pan %S followed by a tilt %V.", "pan_%S tilt_%V", "-"),
    ("The camera begins static, then pushes in.", "dolly_in static", "-"),
    ("The camera holds still, then {pans %S|slowly pans %S}.", "pan_%S static", "-"),
    ("Initially the camera is still; {finally|eventually} it zooms %O.", "static zoom_%O", "-"),
    ("The camera zooms %O {at the end|at the start|in the second half|halfway through|throughout}.", "zoom_%O", "-"),
    ("{At the end|In the last seconds|In the first half}, the camera pans %S.", "pan_%S", "-"),
    ("She waves, then the camera pans %S.", "pan_%S", "-"),
    ("The camera pans %S until it {stops|rests} on a cat.", "pan_%S", "-"),
    ("Start with a zoom %O, then pan %S, end with a tilt %V.", "pan_%S tilt_%V zoom_%O", "-"),
    # ruled out
    ("The camera {does not pan|doesn't pan|never pans}.", "-", "-"),
    ("{No zoom|No zooming|Without zooming|Without any zoom}.", "-", "-"),
    ("The camera pans %S without {zooming|tilting|any zoom}.", "pan_%S", "-"),
    ("No pan, no tilt, no zoom.", "-", "-"),
    ("The camera pans %S {instead of|rather than} zooming in.", "pan_%S", "-"),
    ("{Instead of|Rather than} panning left, the camera tilts %V.", "tilt_%V", "-"),
    ("The camera {does not|doesn't} pan or zoom.", "-", "-"),
    ("The camera pans %S but {does not zoom|never zooms}.", "pan_%S", "-"),
    ("The camera is {not|never} handheld.", "-", "-"),
    ("The camera does not zoom in but pans %S.", "pan_%S", "-"),
    # traps
    ("{A panoramic view of|A panorama over} the sea.", "-", "-"),
    ("{The pan in the kitchen|A pan on the left burner|A frying pan to her left} is smoking.", "-", "-"),
    ("{He zooms past|She zooms by|A scooter zooms down the road} {on his bike|with a laugh}.", "-", "-"),
    ("{She tilts her head|He tilts his chin up|She tilts the cup down} and {smiles|waits}.", "-", "-"),
    ("He {rolls a cigarette|rolls up his sleeves|rolls his eyes|rolls down the window}.", "-", "-"),
    ("She {looks left|looks to the right|glances up|looks down}.", "-", "-"),
    ("He {turns left at the corner|turns right into the alley|turns left onto the bridge}.", "-", "-"),
    ("His {left|right} hand {holds a cup|rests on the table}.", "-", "-"),
    ("{He looks at the camera|She smiles at the camera|He waves at the camera} and moves {left|closer}.", "-", "-"),
    ("A photographer with a camera {turns left at the gate|walks to the right|steps back}.", "-", "-"),
    ("She {pushes in the chair|pulls out a drawer|pulls back the curtain|pulls up her hood}.", "-", "-"),
    ("The truck {left|turns right at the light}.", "-", "-"),
    ("{Tracks left in the snow|Train tracks on the left} lead home.", "-", "-"),
    ("He {moves left|steps back|slides right|leans in|rises up|goes down}.", "-", "-"),
    ("She {walks|runs} {left|to the right|away|forward}.", "-", "-"),
    ("The elevator {rises|moves up|descends}.", "-", "-"),
    ("A crane lifts a steel beam up.", "-", "-"),
    ("The moon's orbit {around the earth|is long}.", "-", "-"),
    ("She {dodges left|spins a coin|circles a word in red}.", "-", "-"),
    ("{Static noise|A static pose|Standing still}, he waits.", "-", "-"),
    ("{A handheld console|A handheld microphone|Her handheld mirror} glows.", "-", "-"),
    ("He repairs {a camera|the camera} and {moves closer|goes up}.", "-", "-"),
    ("", "-", "-"),
    # facing the camera
    ("A man {facing|faces|is facing} {the camera|the viewer|us|forward}.", "-", "0>0"),
    ("{Front view|Frontal view|Frontal shot} of a woman.", "-", "0>0"),
    ("A girl {seen|filmed} {head-on|from the front}.", "-", "0>0"),
    ("She stands facing the camera, {waving|smiling}.", "-", "0>0"),
    # away
    ("A man {seen|filmed|shown|viewed} from {behind|the back}.", "-", "180>180"),
    ("{Back view|Rear view} of a cowboy.", "-", "180>180"),
    ("A woman with her back {to the camera|to us|turned to the camera|to the viewer}.", "-", "180>180"),
    ("A boy {facing away|faces away} from the {camera|viewer}.", "-", "180>180"),
    ("{From behind, a|A shot from behind of a} hiker on a ridge.", "-", "180>180"),
    ("The camera follows him from behind.", "-", "180>180"),
    # profile and three-quarter
    ("A man in profile{| by the sea}.", "-", "~90>~90"),
    ("A {side view|profile shot|profile view} of a drummer.", "-", "~90>~90"),
    ("A woman {seen|filmed} from the side.", "-", "~90>~90"),
    ("A woman in profile{,| and} facing {left|to the left}.", "-", "-90>-90"),
    ("A woman in profile facing {right|the right}.", "-", "90>90"),
    ("A king in {left profile|profile from the left}.", "-", "-90>-90"),
    ("A king in right profile.", "-", "90>90"),
    ("A dancer {seen|viewed} from the {left|left side}.", "-", "-90>-90"),
    ("A dancer {seen|viewed|filmed} from {the right|her right side}.", "-", "90>90"),
    ("A pirate {facing|faces} left.", "-", "-90>-90"),
    ("A pirate {facing|faces} {right|to the right}.", "-", "90>90"),
    ("{Three-quarter view|A three-quarter shot|3/4 view|Three-quarter portrait} of a nun.", "-", "~45>~45"),
    ("Three-quarter view of a nun facing left.", "-", "-45>-45"),
    ("A {three-quarter back view|three-quarter rear view} of a guard.", "-", "~135>~135"),
    # turns
    ("She {turns around|turns round|spins round|turns around slowly}.", "-", "turn~180|turn~360"),
    ("He turns {90 degrees|by 90 degrees|90°} {to the left|left|to his left}.", "-", "turn+90"),
    ("He turns {45 degrees|45°} {to the right|to his right}.", "-", "turn-45"),
    ("She {turns to the left|turns to her left|is turning to the left}.", "-", "turn+90"),
    ("She turns {slowly to the right|to her right}.", "-", "turn-90"),
    ("She makes a {quarter turn to the left|quarter turn left}.", "-", "turn+90"),
    ("She does a half turn{| on the spot}.", "-", "turn~180"),
    ("The model {spins|twirls|spins around|twirls around|does a full turn|pirouettes}.", "-", "turn~360"),
    ("He spins clockwise.", "-", "turn-360"),
    ("He turns {around to face the camera|around to face us|around towards the camera}.", "-", "180>0"),
    ("She {turns to face the camera|turns toward the camera|turns to the camera}.", "-", "?>0"),
    ("She {turns away|turns away from the camera|turns her back to the camera}.", "-", "?>180"),
    ("A girl facing the camera turns {around|180 degrees}.", "-", "0>180"),
    ("A girl facing the camera turns {to the left|90 degrees to the left|90 degrees to her left}.", "-", "0>90"),
    ("Seen from behind, he turns around.", "-", "180>0"),
    ("He turns around, seen from behind.", "-", "180>0"),
    ("She faces the camera, then {turns away|turns her back to us}.", "-", "0>180"),
    ("She faces the camera and then turns to face left.", "-", "0>-90"),
    ("He starts with his back to the camera and turns to face us.", "-", "180>0"),
    ("He turns into profile.", "-", "?>~90"),
    ("He faces away at first, then {faces the camera|turns to the camera}.", "-", "180>0"),
    # traps of orientation
    ("She turns {her head to the left|her gaze to the right|her eyes away}.", "-", "-"),
    ("He turns {the page|the key to the left|on the radio|off the lamp|up the volume|into a bat|pale}.", "-", "-"),
    ("{A car|The bus|A truck} turns to the left.", "-", "-"),
    ("He {steps out|jumps out|peeks} from behind {the door|a curtain}.", "-", "-"),
    ("He {hugs|grabs|attacks} her from behind.", "-", "-"),
    ("She {edits her profile picture|keeps a low profile}.", "-", "-"),
    ("He is {not facing the camera|facing his fears|facing a problem|facing left-handed pitchers}.", "-", "-"),
    ("She {sits in the front row|walks past the front door|looks back}.", "-", "-"),
    ("He comes in from the {left|right} and leaves to the other side.", "-", "-"),
    ("{The left|The right} side of the room is dark.", "-", "-"),
    ("The wheel {spins|turns to the right}.", "-", "-"),
    ("She does not turn around.", "-", "-"),
    # both
    ("A man seen from behind walks, {the camera pans|camera panning} %S.", "pan_%S", "180>180"),
    ("A woman facing the camera dances while the camera zooms %O.", "zoom_%O", "0>0"),
    ("She turns around while the camera orbits %S.", "orbit_%S", "turn~180"),
    ("The camera pans %S, then she turns to the left.", "pan_%S", "turn+90"),
)  # fmt: skip

_WAYS = {"%S": ("left", "right"), "%V": ("up", "down"), "%O": ("in", "out")}


def sentences() -> Iterator[Row]:
    """Every wording of every template."""
    for text, labels, facing in TEMPLATES:
        signs = [sign for sign in _WAYS if sign in text]
        for ways in itertools.product(*(_WAYS[sign] for sign in signs)):
            said, told = text, labels
            for sign, way in zip(signs, ways, strict=True):
                said, told = said.replace(sign, way), told.replace(sign, way)
            parts = re.split(r"\{([^{}]*)\}", said)
            choices = [part.split("|") if number % 2 else [part] for number, part in enumerate(parts)]
            for words in itertools.product(*choices):
                yield "".join(words), told, facing
