// Tracks of one moment over the picture, with the meaning of docs/shards.md "Looking": what is drawn, in which colours
// and from which confidence on comes from the server, which takes it from annotation/render.
import { rowAt } from "/pages/tracks.js";

const SHOULDER = 11;
const FULL_RAD_PER_S = 0.5;
const LEAST_RAD_PER_S = 0.006;
const SHORTEST_RADII = 0.3;
const ARC_S = 1.5;
const ROLL_AT_LEAST = Math.PI / 120;
const ZOOM_AT_LEAST = 0.015;

const css = (rgb) => "rgb(" + rgb.join(",") + ")";

export class Painter {
  constructor(canvas, tracks) {
    this.canvas = canvas;
    this.tracks = tracks;
    this.pen = canvas.getContext("2d");
  }

  fit() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(this.canvas.clientWidth * ratio), Math.round(this.canvas.clientHeight * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.scale = [width / this.tracks.size_wh[0], height / this.tracks.size_wh[1]];
    this.line = Math.max(1, Math.round(Math.min(width, height) / 240));
    this.textPx = Math.min(Math.max(Math.round(height / 40), 10 * ratio), 18 * ratio);
  }

  draw(atS, layers) {
    this.fit();
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.pen.lineCap = "round";
    const { arrays, fps } = this.tracks;
    const row = (name) => (layers.has(name) && arrays[name + "_s"] ? rowAt(arrays[name + "_s"], atS, fps) : null);
    if (layers.has("things") && arrays.things_s) this.things(atS);
    for (const name of ["body", "face", "hands", "camera"]) {
      const t = row(name);
      if (t !== null) this[name](t);
    }
  }

  // Point `place` of an array whose last axis is x, y.
  at(array, place) {
    return [array.values[2 * place] * this.scale[0], array.values[2 * place + 1] * this.scale[1]];
  }

  stroke([x, y], [u, v], colour, width) {
    this.pen.strokeStyle = css(colour);
    this.pen.lineWidth = width;
    this.pen.beginPath();
    this.pen.moveTo(x, y);
    this.pen.lineTo(u, v);
    this.pen.stroke();
  }

  dot([x, y], radius, colour) {
    this.pen.fillStyle = css(colour);
    this.pen.beginPath();
    this.pen.arc(x, y, radius, 0, 2 * Math.PI);
    this.pen.fill();
  }

  tag(text, [x, y], colour) {
    this.pen.font = this.textPx + "px system-ui, sans-serif";
    this.pen.textBaseline = "top";
    const width = this.pen.measureText(text).width + 6;
    const left = Math.min(Math.max(0, x), Math.max(0, this.canvas.width - width));
    const top = Math.max(0, y);
    this.pen.fillStyle = "rgba(0,0,0,.6)";
    this.pen.fillRect(left, top, width, 1.3 * this.textPx);
    this.pen.fillStyle = css(colour);
    this.pen.fillText(text, left + 3, top + 0.12 * this.textPx);
  }

  body(t) {
    const { body_px: px, body_present: present } = this.tracks.arrays;
    const [people, frames, joints] = px.shape;
    const colours = this.tracks.draw.others;
    let seen = 0;
    for (let person = 0; person < people; person += 1) {
      const from = person * frames;
      if (present.values.subarray(from, from + frames).some((value) => value)) seen += 1;
    }
    // The main subject comes last and lies on top.
    for (let person = people - 1; person >= 0; person -= 1) {
      const place = person * frames + t;
      if (!present.values[place]) continue;
      const own = person ? colours[(person - 1) % colours.length] : null;
      this.figure(place, joints, own);
      if (seen > 1) {
        const nose = this.at(px, place * joints);
        const [left, right] = [this.at(px, place * joints + SHOULDER), this.at(px, place * joints + SHOULDER + 1)];
        const above = Math.abs((left[1] + right[1]) / 2 - nose[1]);
        this.tag(String(person), [nose[0] - this.textPx / 2, nose[1] - above - this.textPx], own || [255, 255, 255]);
      }
    }
  }

  figure(place, joints, own) {
    const { body_px: px, body_conf: conf, body_filled: filled } = this.tracks.arrays;
    const { bones, joints: drawn, sure, seen, faint } = this.tracks.draw;
    const line = own ? Math.max(1, this.line - 1) : this.line;
    const confidence = (joint) => conf.values[place * joints + joint];
    const isIn = (value, wantsSure) => (wantsSure ? value >= sure : value >= seen && value < sure);
    for (const wantsSure of [false, true]) {
      this.pen.globalAlpha = wantsSure ? 1 : faint;
      for (const [a, b, colour] of bones) {
        if (!isIn(Math.min(confidence(a), confidence(b)), wantsSure)) continue;
        // Thin at the head, where the face lies.
        const width = Math.min(a, b) >= SHOULDER ? line : Math.max(1, Math.floor(line / 2));
        if (filled.values[place]) this.pen.setLineDash([3 * width, 3 * width]);
        this.stroke(this.at(px, place * joints + a), this.at(px, place * joints + b), own || colour, width);
        this.pen.setLineDash([]);
      }
      for (const [joint, colour] of drawn) {
        if (!isIn(confidence(joint), wantsSure)) continue;
        this.dot(this.at(px, place * joints + joint), !own && joint >= SHOULDER ? line + 1 : line, own || colour);
      }
    }
    this.pen.globalAlpha = 1;
  }

  face(t) {
    const { face_px: px, face_present: present, face_arrows: arrows } = this.tracks.arrays;
    if (!present.values[t]) return;
    const { face_lines: lines, irises, nose, face, gaze, axes } = this.tracks.draw;
    const first = t * px.shape[1];
    const line = Math.max(1, Math.floor(this.line / 2));
    this.pen.strokeStyle = css(face);
    this.pen.lineWidth = line;
    this.pen.beginPath();
    for (const [closed, points] of lines) {
      points.forEach((point, place) => {
        const [x, y] = this.at(px, first + point);
        if (place) this.pen.lineTo(x, y); else this.pen.moveTo(x, y);
      });
      if (closed) this.pen.closePath();
    }
    this.pen.stroke();
    axes.forEach((colour, axis) => this.arrow(this.at(px, first + nose), this.at(arrows, 4 * t + axis), colour, line));
    for (const iris of irises) this.arrow(this.at(px, first + iris), this.at(arrows, 4 * t + 3), gaze, line);
  }

  arrow([x, y], [along, down], colour, width) {
    const length = Math.hypot(along, down);
    if (length < 1) return;
    const tip = [x + along, y + down];
    this.stroke([x, y], tip, colour, width);
    const head = Math.min(Math.max(3 * width, 0.3 * length), 5 * width, length);
    const [backX, backY] = [along / length * head, down / length * head];
    this.pen.fillStyle = css(colour);
    this.pen.beginPath();
    this.pen.moveTo(...tip);
    this.pen.lineTo(tip[0] - backX - 0.6 * backY, tip[1] - backY + 0.6 * backX);
    this.pen.lineTo(tip[0] - backX + 0.6 * backY, tip[1] - backY - 0.6 * backX);
    this.pen.fill();
  }

  hands(t) {
    const { hands_px: px, hands_conf: conf, hands_present: present } = this.tracks.arrays;
    const [people, frames, , joints] = px.shape;
    const { hand_bones: bones, sides, others, sure, faint } = this.tracks.draw;
    const line = Math.max(1, Math.floor(this.line / 2));
    for (let person = people - 1; person >= 0; person -= 1) {
      for (const side of [0, 1]) {
        const place = (person * frames + t) * 2 + side;
        if (!present.values[place]) continue;
        const colour = person ? others[(person - 1) % others.length] : sides[side];
        this.pen.globalAlpha = conf.values[place] >= sure ? 1 : faint;
        for (const [a, b] of bones) this.stroke(this.at(px, place * joints + a), this.at(px, place * joints + b), colour, line);
        for (let joint = 0; joint < joints; joint += 1) this.dot(this.at(px, place * joints + joint), line + 0.5, colour);
      }
    }
    this.pen.globalAlpha = 1;
  }

  // The dial: the arrow points where the camera turns, an arc the way it rolls, words for zoom and roll.
  camera(t) {
    const [pan, tilt, roll, zoom] = this.tracks.arrays.camera_rates.values.subarray(4 * t, 4 * t + 4);
    if (Number.isNaN(pan)) return;
    const colour = this.tracks.draw.camera;
    const radius = Math.max(14 * (window.devicePixelRatio || 1), Math.floor(Math.min(this.canvas.width, this.canvas.height) / 20));
    const centre = [this.canvas.width - 1.4 * radius, 1.4 * radius];
    this.pen.fillStyle = "rgba(0,0,0,.66)";
    this.pen.strokeStyle = "rgb(95,95,100)";
    this.pen.lineWidth = 1;
    this.pen.beginPath();
    this.pen.arc(...centre, 1.2 * radius, 0, 2 * Math.PI);
    this.pen.fill();
    this.pen.stroke();
    const rate = Math.hypot(pan, tilt);
    if (rate >= LEAST_RAD_PER_S) {
      const reach = Math.min(1, Math.max(SHORTEST_RADII, Math.sqrt(rate / FULL_RAD_PER_S))) * radius;
      this.arrow(centre, [pan / rate * reach, -tilt / rate * reach], colour, this.line);
    } else {
      this.dot(centre, this.line + 1, colour);
    }
    const words = [];
    if (Math.abs(zoom) >= ZOOM_AT_LEAST) words.push("zoom " + (zoom > 0 ? "+" : "-") + Math.round(100 * Math.abs(Math.expm1(zoom))) + "%/s");
    if (Math.abs(roll) >= ROLL_AT_LEAST) {
      const sweep = Math.sign(roll) * Math.min(Math.max(Math.abs(roll) * ARC_S, 0.7), 2.8);
      this.arc(centre, 1.2 * radius, sweep, colour);
      words.push("roll " + Math.round(Math.abs(roll) * 180 / Math.PI) + "°/s");
    }
    words.forEach((text, place) => this.tag(text, [this.canvas.width, centre[1] + 1.3 * radius + place * 1.4 * this.textPx], colour));
  }

  arc(centre, radius, sweep, colour) {
    const [from, to] = [-Math.PI / 2 - sweep / 2, -Math.PI / 2 + sweep / 2];
    this.pen.strokeStyle = css(colour);
    this.pen.lineWidth = this.line;
    this.pen.beginPath();
    this.pen.arc(...centre, radius, from, to, sweep < 0);
    this.pen.stroke();
    const point = (angle) => [centre[0] + radius * Math.cos(angle), centre[1] + radius * Math.sin(angle)];
    const [before, end] = [point(to - sweep / 8), point(to)];
    this.arrow(before, [end[0] - before[0], end[1] - before[1]], colour, this.line);
  }

  things(atS) {
    const { things_px: px, things_s: times } = this.tracks.arrays;
    const { thing, things_last_s: lasts } = this.tracks.draw;
    let look = -Infinity;
    for (const seen of times.values) if (seen <= atS + 1e-6 && seen > look) look = seen;
    if (atS - look >= lasts) return;
    times.values.forEach((seen, n) => {
      if (seen !== look) return;
      const [[left, top], [right, bottom]] = [this.at(px, 2 * n), this.at(px, 2 * n + 1)];
      this.pen.strokeStyle = css(thing);
      this.pen.lineWidth = Math.max(1, Math.floor(this.line / 2));
      this.pen.strokeRect(left, top, right - left, bottom - top);
      this.tag(this.tracks.things[n], [left, top - 1.3 * this.textPx], thing);
    });
  }
}
