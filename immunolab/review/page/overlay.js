// The control's events over the large plot, as outlines: where any are, and where they are dense.

const LEVELS = [1, 128]; // shades: any event, and half of the log of the densest bin

/** Draw a control over the picture of an editor; give back what takes it away. */
export function drawOverlay(pad, control) {
  const canvas = document.createElement("canvas");
  canvas.className = "overlay";
  canvas.setAttribute("aria-hidden", "true");
  pad.append(canvas);
  const size = Math.round(pad.clientWidth * (devicePixelRatio || 1));
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  context.strokeStyle = getComputedStyle(canvas).color;
  context.lineWidth = 1.6 * (devicePixelRatio || 1);
  const bytes = Uint8Array.from(atob(control.density), (letter) => letter.charCodeAt(0));
  if (bytes.length === control.bins) curve(context, bytes, size);
  else for (const level of LEVELS) border(context, bytes, control.bins, level, size);
  return () => canvas.remove();
}

function curve(context, bytes, size) {
  const step = size / bytes.length;
  context.beginPath();
  bytes.forEach((height, i) => {
    const y = size * (1 - (0.95 * height) / 255);
    context.lineTo(i * step, y);
    context.lineTo((i + 1) * step, y);
  });
  context.stroke();
}

/** The border of the bins that hold at least a level: the edges at which a bin meets one that does not. */
function border(context, bytes, n, level, size) {
  const step = size / n;
  const has = (i, j) => i >= 0 && j >= 0 && i < n && j < n && bytes[j * n + i] >= level;
  context.globalAlpha = level === 1 ? 0.55 : 1;
  context.beginPath();
  const edge = (ax, ay, bx, by) => {
    context.moveTo(ax * step, size - ay * step);
    context.lineTo(bx * step, size - by * step);
  };
  for (let j = 0; j <= n; j++) {
    for (let i = 0; i <= n; i++) {
      if (has(i, j) !== has(i - 1, j)) edge(i, j, i, j + 1);
      if (has(i, j) !== has(i, j - 1)) edge(i, j, i + 1, j);
    }
  }
  context.stroke();
}
