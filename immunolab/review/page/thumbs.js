// Pictures of one gate on a small canvas: density in one colour map, ticks, the gate's border. Drawn when they come near
// the screen and let go when they are far from it, so that hundreds cost no more than the ones that are seen.

const NEAR = "400px"; // around the screen within which pictures are drawn
const TICK = 4; // px
const LIGHT = [[158, 190, 219], [8, 29, 88]];
const DARK = [[38, 74, 110], [255, 244, 196]];

const scheme = matchMedia("(prefers-color-scheme: dark)");
const waiting = new Map(); // canvas -> picture
let tables = null;

const watch = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? paint(target) : release(target);
  },
  { rootMargin: NEAR },
);
scheme.addEventListener("change", () => {
  tables = null;
  for (const canvas of waiting.keys()) if (canvas.width > 1) paint(canvas);
});

/** Give a canvas that draws a picture when it is near the screen. */
export function thumbnail(picture) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  canvas.setAttribute("aria-hidden", "true");
  if (picture) {
    waiting.set(canvas, picture);
    watch.observe(canvas);
  }
  return canvas;
}

/** Let go of every picture inside an element that is about to be emptied. */
export function forget(element) {
  for (const canvas of element.querySelectorAll("canvas")) {
    watch.unobserve(canvas);
    waiting.delete(canvas);
  }
}

function release(canvas) {
  canvas.width = canvas.height = 1;
}

function paint(canvas) {
  const picture = waiting.get(canvas);
  const wide = canvas.clientWidth;
  if (!picture || !wide) return;
  const size = Math.round(wide * Math.min(2, devicePixelRatio || 1));
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  paintDensity(context, picture, size);
  paintTicks(context, picture, size, size / wide);
  if (picture.lines.length) paintLines(context, picture, size, size / wide);
  else paintMembers(context, picture, size, size / wide);
}

/** 256 colours as pixels; the first is empty and transparent. */
function colours() {
  if (tables) return tables;
  const [from, to] = scheme.matches ? DARK : LIGHT;
  tables = new Uint32Array(256);
  for (let shade = 1; shade < 256; shade++) {
    const [r, g, b] = from.map((start, i) => Math.round(start + (shade / 255) * (to[i] - start)));
    tables[shade] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return tables;
}

const small = document.createElement("canvas");

function paintDensity(context, picture, size) {
  const n = picture.bins;
  const bytes = Uint8Array.from(atob(picture.density), (letter) => letter.charCodeAt(0));
  small.width = small.height = n;
  const inner = small.getContext("2d");
  const image = inner.createImageData(n, n);
  const pixels = new Uint32Array(image.data.buffer);
  const table = colours();
  if (bytes.length === n) fillBars(pixels, bytes, n, table[110]);
  else for (let row = 0; row < n; row++) for (let i = 0; i < n; i++) pixels[(n - 1 - row) * n + i] = table[bytes[row * n + i]];
  inner.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, size, size);
}

/** A histogram: a byte is the height of a bar. */
function fillBars(pixels, bytes, n, colour) {
  bytes.forEach((height, i) => {
    for (let row = 0; row < Math.round((height / 255) * 0.95 * n); row++) pixels[(n - 1 - row) * n + i] = colour;
  });
}

function paintTicks(context, { x, y }, size, ratio) {
  context.strokeStyle = getComputedStyle(context.canvas).color;
  context.lineWidth = ratio;
  context.beginPath();
  for (const { at } of x?.ticks || []) line(context, at * size, size, at * size, size - TICK * ratio);
  for (const { at } of y?.ticks || []) line(context, 0, (1 - at) * size, TICK * ratio, (1 - at) * size);
  context.stroke();
}

function line(context, ax, ay, bx, by) {
  context.moveTo(ax, ay);
  context.lineTo(bx, by);
}

function paintLines(context, { lines }, size, ratio) {
  const style = getComputedStyle(context.canvas);
  context.lineJoin = "round";
  for (const [colour, wide, alpha] of [[style.backgroundColor, 4, 0.75], [style.outlineColor, 1.8, 1]]) {
    context.strokeStyle = colour;
    context.globalAlpha = alpha;
    context.lineWidth = wide * ratio;
    context.beginPath();
    for (const points of lines) trace(context, points, size);
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** Some events of a combined gate, which has no border to draw. */
function paintMembers(context, { members = [] }, size, ratio) {
  context.fillStyle = getComputedStyle(context.canvas).outlineColor;
  for (const [x, y] of members) context.fillRect(x * size - ratio / 2, (1 - y) * size - ratio / 2, 1.4 * ratio, 1.4 * ratio);
}

/** A run of points; a single one is a threshold, which goes from the bottom to the top. */
function trace(context, points, size) {
  if (points.length === 1) {
    const [x] = [points[0]].flat();
    line(context, x * size, size, x * size, 0);
    return;
  }
  points.forEach(([x, y], i) => (i ? context.lineTo(x * size, (1 - y) * size) : context.moveTo(x * size, (1 - y) * size)));
}
