// A sample's tracks as the server packs them (pipelines/viewer/track_arrays.py), and which of their rows is shown when.

const VIEWS = { f8: Float64Array, f4: Float32Array, u1: Uint8Array };

export function unpacked(buffer) {
  const headerBytes = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headerBytes)));
  const base = 4 + headerBytes;
  const arrays = {};
  for (const [name, { type, shape, at }] of Object.entries(header.arrays)) {
    const values = new VIEWS[type](buffer, base + at, shape.reduce((all, axis) => all * axis, 1));
    arrays[name] = { values, shape };
  }
  return { ...header, arrays };
}

// The row of a track whose time is nearest; null when it is more than half a frame away.
export function rowAt(times, atS, fps) {
  const { values } = times;
  if (!values.length) return null;
  let low = 0;
  let high = values.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= atS) low = middle; else high = middle;
  }
  const row = Math.abs(values[high] - atS) < Math.abs(values[low] - atS) ? high : low;
  const stepS = fps > 0 ? 1 / fps : 1 / 25;
  return Math.abs(values[row] - atS) <= 0.5 * stepS + 1e-6 ? row : null;
}
