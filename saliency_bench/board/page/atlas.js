/* Maps of a clip: grey tiles in one picture, read back as bytes. */

/** {width, height, at}: `at(frame)` gives the (height x width) bytes of the tile in force, or null before the first. */
async function loadAtlas(atlas) {
  if (!String(atlas.image).startsWith("data:image/png;base64,")) throw new Error("a map is not a PNG inside the clip");
  const picture = new Image();
  picture.src = atlas.image;
  await picture.decode();
  const canvas = el("canvas", { width: picture.naturalWidth, height: picture.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { width, height, columns, frames } = atlas,
    tiles = new Map();
  const tile = (index) => {
    if (!tiles.has(index)) {
      const { data } = context.getImageData(
        (index % columns) * width,
        Math.floor(index / columns) * height,
        width,
        height,
      );
      tiles.set(
        index,
        Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]),
      );
    }
    return tiles.get(index);
  };
  return {
    width,
    height,
    at: (frame) => {
      const index = tileInForce(frames, frame);
      return index < 0 ? null : tile(index);
    },
  };
}

/** The last of rising `frames` that is not after `frame`, -1 where there is none. */
function tileInForce(frames, frame) {
  let low = 0,
    high = frames.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frames[middle] <= frame) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Paint bytes as colour on a small canvas: little where nothing is salient, `opacity` where most is. */
function paintHeat(canvas, { width, height }, bytes, opacity) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d"),
    pixels = context.createImageData(width, height);
  for (let i = 0; i < bytes.length; i++) {
    const level = bytes[i];
    pixels.data[4 * i] = COLOURS[3 * level];
    pixels.data[4 * i + 1] = COLOURS[3 * level + 1];
    pixels.data[4 * i + 2] = COLOURS[3 * level + 2];
    pixels.data[4 * i + 3] = 255 * opacity * (0.55 + 0.45 * Math.min(1, level / 128));
  }
  context.putImageData(pixels, 0, 0);
}
