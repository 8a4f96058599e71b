/* Colours of the heat maps, computed: black, violet, red, orange, pale yellow.
 *
 * A path in OKLCh whose lightness rises throughout, brought inside sRGB by taking colour away, and cut into 256 steps
 * of equal length in OKLab, so that equal steps of salience look equally far apart and a copy in grey reads the same.
 * Source of the space and of its two matrices: B. Ottosson, "A perceptual color space for image processing", 2020. */
const COLOURS = colourSteps(256);

/** Linear sRGB of a colour in OKLab. */
function linearRgb([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

/** The path at t in [0, 1], as OKLab inside sRGB. */
function pathColour(t) {
  const lightness = 0.08 + 0.89 * t,
    hue = ((288 + 176 * t) * Math.PI) / 180;
  const lab = (chroma) => [lightness, chroma * Math.cos(hue), chroma * Math.sin(hue)];
  let low = 0,
    high = 0.16 * Math.sin((Math.PI / 2) * Math.min(1, t / 0.35));
  if (inside(lab(high))) return lab(high);
  for (let i = 0; i < 24; i++) {
    const middle = (low + high) / 2;
    if (inside(lab(middle))) low = middle;
    else high = middle;
  }
  return lab(low);
}

function inside(lab) {
  return linearRgb(lab).every((value) => value >= 0 && value <= 1);
}

/** `n` colours along the path, equally far apart, as bytes red, green, blue one after the other. */
function colourSteps(n) {
  const fine = Array.from({ length: 1025 }, (_, i) => pathColour(i / 1024));
  const far = [0];
  for (let i = 1; i < fine.length; i++)
    far.push(far[i - 1] + Math.hypot(...fine[i].map((value, k) => value - fine[i - 1][k])));
  const bytes = new Uint8ClampedArray(3 * n),
    gamma = (v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
  for (let step = 0, i = 0; step < n; step++) {
    while (i < fine.length - 1 && far[i] < (step / (n - 1)) * far.at(-1) - 1e-12) i++;
    linearRgb(fine[i]).forEach((value, k) => {
      bytes[3 * step + k] = 255 * gamma(Math.max(0, value));
    });
  }
  return bytes;
}

/** A strip of all colours, for a legend. */
function colourStrip() {
  const canvas = el("canvas", {
    class: "strip",
    width: 256,
    height: 1,
    role: "img",
    "aria-label": "Colours from no to most salience",
  });
  const context = canvas.getContext("2d"),
    pixels = context.createImageData(256, 1);
  for (let i = 0; i < 256; i++) pixels.data.set([...COLOURS.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  context.putImageData(pixels, 0, 0);
  return canvas;
}
