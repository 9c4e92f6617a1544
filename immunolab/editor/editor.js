// The page's half of the editor of gates: draws what Python sends, and sends what the user does.
//
// mount(element, channel, options) needs of its surroundings only channel.send(message) and channel.on(handler); a notebook,
// a web server and a test each bring their own. Nothing is loaded from anywhere. All text is set as text, never as markup.
// Options: redefine (gates can be drawn, renamed, removed), largest (px of the picture), silence (said where no answer comes).
// Places are shares of the picture, (0, 0) at the lower left.

const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.0025; // of the picture a key press moves a handle; ten times that with Shift
const NEAR = 0.03; // of the picture around the first corner that closes a polygon
const PATIENCE = 8000; // ms without an answer after which the page says that Python is not there
const INSET = { left: 64, right: 14, top: 12, bottom: 46 }; // px around the picture, for ticks and labels

const SHAPES = [
  { key: "above", label: "Above", hint: "a threshold: events at or above it", points: 1 },
  { key: "below", label: "Below", hint: "a threshold: events below it", points: 1 },
  { key: "rectangle", label: "Rectangle", hint: "two opposite corners", points: 2 },
  { key: "ellipse", label: "Ellipse", hint: "two opposite corners of the box around it", points: 2 },
  { key: "polygon", label: "Polygon", hint: "its corners; the first one again closes it", points: 0 },
];

let instances = 0;

export function html(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name === "style") made.style.cssText = value; // an attribute would be refused by a page's content policy
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function svg(tag, attributes = {}, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const count = (n) => n.toLocaleString("en-US");
const percent = (value) => (value === null ? "–" : `${value.toFixed(2)} %`);
const clamp = (value) => Math.min(1, Math.max(0, value));

function amount(value) {
  if (value === null) return "beyond the axis";
  const digits = Number(value.toPrecision(4));
  return Math.abs(digits) >= 1e7 ? digits.toExponential(3) : digits.toLocaleString("en-US", { maximumFractionDigits: 6 });
}

const SILENCE = "No answer from Python yet: another cell may be running. After a restart, run this cell again.";

export function mount(root, channel, { redefine = true, largest = 460, silence = SILENCE } = {}) {
  const id = `il-editor-${++instances}`;
  let state = null;
  let picture = null;
  let preview = null; // the gate as it is dragged
  let dragging = null;
  let waiting = false; // for the answer to a drag
  let queued = null;
  let serial = 0;
  let drawing = null; // {shape, points, cursor}
  let chosen = ""; // key of the handle whose values are shown
  let together = true; // whether a border moves in the other gates that have it too
  let refocus = ""; // key of the handle that has the focus after the next drawing
  let patience = null;

  // -- the frame, made once ---------------------------------------------------------------------------------------

  const title = html("strong");
  const undo = html("button", { type: "button", text: "Undo", onclick: () => send({ type: "undo" }) });
  const redo = html("button", { type: "button", text: "Redo", onclick: () => send({ type: "redo" }) });
  const crumbs = html("nav", { "aria-label": "Population shown", class: "il-crumbs" });
  const canvas = html("canvas", { "aria-hidden": "true" });
  const lines = svg("svg", { "aria-hidden": "true", class: "il-lines" });
  const handleLayer = html("div", { class: "il-handles", role: "group", "aria-label": "Handles of the gate" });
  const pad = html("div", {
    class: "il-pad",
    role: "application",
    tabindex: "-1",
    "aria-label": "Picture of events",
    "aria-describedby": `${id}-caption`,
  });
  const plot = html("div", { class: "il-plot" }, canvas, lines, pad, handleLayer);
  const caption = html("p", { class: "il-caption", id: `${id}-caption` });
  const menus = html("div", { class: "il-menus" });
  const tools = html("div", { class: "il-tools", role: "toolbar", "aria-label": "Draw a gate" });
  const body = html("tbody");
  const table = html(
    "table",
    { class: "il-tree" },
    html("caption", { text: "Populations" }),
    html(
      "thead",
      {},
      html(
        "tr",
        {},
        ...["population", "events", "% of parent"].map((text) => html("th", { scope: "col", text })),
      ),
    ),
    body,
  );
  const panel = html("section", { class: "il-panel", "aria-label": "Gate" });
  const status = html("p", { class: "il-status", role: "status", "aria-live": "polite" });
  const frame = html(
    "section",
    { class: "il-editor", "aria-label": "Gates of a tube", "data-lm-suppress-shortcuts": "true" },
    html("div", { class: "il-bar" }, title, undo, redo),
    html(
      "div",
      { class: "il-main" },
      html("div", { class: "il-left" }, crumbs, plot, caption, menus, tools),
      html("div", { class: "il-right" }, panel, html("div", { class: "il-scroll", tabindex: "0", role: "region", "aria-label": "Table of populations" }, table)),
    ),
    status,
  );
  root.append(frame);

  for (const shape of redefine ? SHAPES : []) {
    tools.append(
      html("button", {
        type: "button",
        text: shape.label,
        title: shape.hint,
        "data-shape": shape.key,
        "aria-pressed": "false",
        onclick: () => (drawing && drawing.shape.key === shape.key ? stopDrawing("") : startDrawing(shape)),
      }),
    );
  }

  // -- messages -----------------------------------------------------------------------------------------------------

  function send(message) {
    clearTimeout(patience);
    patience = setTimeout(() => say(silence, true), PATIENCE);
    channel.send(message);
  }

  channel.on((message) => {
    clearTimeout(patience);
    if (message.type === "state") {
      state = message;
      if (message.picture) picture = message.picture;
      if (!dragging) preview = null;
      if (status.dataset.gone) say("");
      render();
    } else if (message.type === "preview") {
      waiting = false;
      if (dragging && message.serial === serial) {
        preview = message;
        drawGates();
        showRows(message.rows);
        showValues();
      }
      if (queued) sendDrag(queued);
    } else if (message.type === "problem") {
      waiting = false;
      queued = null;
      say(message.message, true);
    }
  });

  function say(text, wrong = false) {
    status.textContent = text;
    status.classList.toggle("il-wrong", wrong);
    if (text === silence) status.dataset.gone = "yes";
    else delete status.dataset.gone;
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  let size = 0; // px of the square picture
  const px = (place) => INSET.left + place * size;
  const py = (place) => INSET.top + (1 - place) * size;

  function layOut() {
    const wide = plot.parentElement.clientWidth || 480;
    size = Math.max(180, Math.min(largest, wide - INSET.left - INSET.right));
    plot.style.width = `${size + INSET.left + INSET.right}px`;
    plot.style.height = `${size + INSET.top + INSET.bottom}px`;
    for (const layer of [canvas, pad, handleLayer]) {
      layer.style.left = `${INSET.left}px`;
      layer.style.top = `${INSET.top}px`;
      layer.style.width = layer.style.height = `${size}px`;
    }
    lines.setAttribute("width", size + INSET.left + INSET.right);
    lines.setAttribute("height", size + INSET.top + INSET.bottom);
  }

  function isDark() {
    const [r, g, b] = getComputedStyle(frame).color.match(/[\d.]+/g).map(Number);
    return r * 0.299 + g * 0.587 + b * 0.114 > 128;
  }

  function drawEvents() {
    const n = picture.bins;
    const bytes = Uint8Array.from(atob(picture.shades), (letter) => letter.charCodeAt(0));
    const dark = isDark();
    canvas.width = n;
    canvas.height = n;
    const context = canvas.getContext("2d");
    const image = context.createImageData(n, n);
    const [from, to] = dark ? [[38, 74, 110], [255, 244, 196]] : [[158, 190, 219], [8, 29, 88]];
    const paint = (column, row, share) => {
      const at = 4 * ((n - 1 - row) * n + column);
      for (let i = 0; i < 3; i++) image.data[at + i] = from[i] + share * (to[i] - from[i]);
      image.data[at + 3] = 255;
    };
    if (picture.histogram) {
      const top = Math.max(1, picture.most) * 1.05;
      picture.counts.forEach((events, column) => {
        for (let row = 0; row < Math.round((events / top) * n); row++) paint(column, row, 0.35);
      });
    } else {
      bytes.forEach((shade, i) => shade && paint(i % n, Math.floor(i / n), shade / 255));
    }
    context.putImageData(image, 0, 0);
  }

  function drawAxes() {
    const group = svg("g", { class: "il-axes" });
    group.append(svg("rect", { x: px(0), y: py(1), width: size, height: size, class: "il-box" }));
    const { x, y } = state.axes;
    for (const tick of x.ticks) {
      group.append(svg("line", { x1: px(tick.at), x2: px(tick.at), y1: py(0), y2: py(0) + 5 }));
      group.append(svg("text", { x: px(tick.at), y: py(0) + 17, "text-anchor": "middle" }, tick.text));
    }
    for (const at of x.minor) group.append(svg("line", { x1: px(at), x2: px(at), y1: py(0), y2: py(0) + 3 }));
    const label = svg("text", { x: px(0.5), y: py(0) + 38, "text-anchor": "middle", class: "il-label" }, x.label);
    group.append(label);
    const ticks = y ? y.ticks : [{ at: 0, text: "0" }, { at: 1 / 1.05, text: count(picture.most) }];
    for (const tick of ticks) {
      group.append(svg("line", { x1: px(0) - 5, x2: px(0), y1: py(tick.at), y2: py(tick.at) }));
      group.append(svg("text", { x: px(0) - 8, y: py(tick.at) + 4, "text-anchor": "end" }, tick.text));
    }
    for (const at of y ? y.minor : []) group.append(svg("line", { x1: px(0) - 3, x2: px(0), y1: py(at), y2: py(at) }));
    const turned = `translate(13 ${py(0.5)}) rotate(-90)`;
    group.append(svg("text", { transform: turned, "text-anchor": "middle", class: "il-label" }, y ? y.label : "events"));
    return group;
  }

  const path = (points, close = false) =>
    points.map(([x, y], i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("") + (close ? "Z" : "");

  function gatesNow() {
    if (!preview) return state.gates;
    return state.gates.map((gate) => (gate.path === preview.gate.path ? preview.gate : gate));
  }

  const activeGate = () => gatesNow().find((gate) => gate.active) || null;

  function drawGates() {
    lines.replaceChildren(svg("defs"), drawAxes());
    const clip = svg("clipPath", { id: `${id}-clip` });
    clip.append(svg("rect", { x: px(0), y: py(1), width: size, height: size }));
    lines.firstChild.append(clip);
    const group = svg("g", { "clip-path": `url(#${id}-clip)` });
    lines.append(group);
    const taken = [];
    for (const gate of gatesNow().sort((a, b) => a.active - b.active)) {
      const line = gate.outlines.map((points) => path(points)).join("");
      group.append(svg("path", { d: line, class: "il-halo" }));
      group.append(svg("path", { d: line, class: gate.active ? "il-gate il-active" : "il-gate" }));
      if (line) group.append(nameOf(gate, taken));
    }
    for (const dot of activeGate()?.members || []) group.append(svg("circle", { cx: px(dot[0]), cy: py(dot[1]), r: 1.4, class: "il-member" }));
    if (drawing) group.append(...sketch());
    drawHandles();
  }

  /** The name and percentage of a gate, in its upper corner where no other name is. */
  function nameOf(gate, taken) {
    const text = `${gate.name} ${percent(gate.percent)}`;
    const [left, right, , top] = gate.bounds;
    const wide = 7.2 * text.length; // px, no letter of a sans-serif of 12 px is wider on average
    const atEnd = px(left) + wide > px(1) && px(right) - wide > px(0);
    const x = atEnd ? px(right) - 5 : px(left) + 5;
    let y = gate.kind !== "rectangle" && py(top) - 5 > py(1) + 13 ? py(top) - 5 : py(top) + 14;
    const meets = (one) => Math.abs(one.y - y) < 14 && (atEnd ? x - wide : x) < one.to && one.from < (atEnd ? x : x + wide);
    while (taken.some(meets) && y < py(0) - 4) y += 15;
    taken.push({ from: atEnd ? x - wide : x, to: atEnd ? x : x + wide, y });
    return svg("text", { x, y, "text-anchor": atEnd ? "end" : "start", class: gate.active ? "il-name il-active" : "il-name" }, text);
  }

  // -- handles ------------------------------------------------------------------------------------------------------

  const buttons = new Map();

  function drawHandles() {
    const gate = drawing ? null : activeGate();
    const wanted = new Map((gate ? gate.handles : []).map((handle) => [handle.key, handle]));
    for (const [key, button] of buttons) {
      if (!wanted.has(key)) {
        button.remove();
        buttons.delete(key);
      }
    }
    for (const [key, handle] of wanted) {
      let button = buttons.get(key);
      if (!button) {
        button = html("button", {
          type: "button",
          class: "il-handle",
          "data-handle": key,
          onpointerdown: (event) => startDrag(event, key),
          onkeydown: (event) => nudge(event, key),
          onfocus: () => choose(key),
        });
        buttons.set(key, button);
        handleLayer.append(button);
      }
      button.dataset.along = handle.along;
      button.classList.toggle("il-corner", handle.corner);
      button.style.left = `${clamp(handle.x) * size}px`;
      button.style.top = `${(1 - clamp(handle.y)) * size}px`;
      button.setAttribute("aria-label", `${gate.name}, ${handle.label}: ${inWords(handle)}`);
      button.title = inWords(handle);
    }
    if (refocus && buttons.has(refocus)) buttons.get(refocus).focus();
    refocus = "";
  }

  const inWords = (handle) =>
    Object.entries(handle.values)
      .map(([letter, value]) => `${handle.names[letter]} ${amount(value)}`)
      .join(", ");

  function choose(key) {
    if (chosen === key) return;
    chosen = key;
    showPanel();
  }

  function placeOf(event) {
    const box = pad.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
  }

  /** The handle at a place: a point within reach, else an edge. */
  function handleAt([x, y]) {
    const gate = activeGate();
    if (!gate || drawing) return null;
    const reach = 12 / size;
    const points = gate.handles.map((handle) => [Math.hypot(clamp(handle.x) - x, clamp(handle.y) - y), handle.key]);
    const edges = gate.handles
      .filter((handle) => handle.line)
      .map((handle) => [distance([x, y], handle.line), handle.key]);
    for (const near of [points, edges]) {
      const [far, key] = near.sort((a, b) => a[0] - b[0])[0] || [1, ""];
      if (far <= reach) return key;
    }
    return null;
  }

  function distance([x, y], [[ax, ay], [bx, by]]) {
    const long = (bx - ax) ** 2 + (by - ay) ** 2;
    const t = long ? clamp(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / long) : 0;
    return Math.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay));
  }

  function startDrag(event, key) {
    const gate = activeGate();
    const handle = gate && gate.handles.find((one) => one.key === key);
    if (!handle || event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    const [x, y] = placeOf(event);
    const at = [clamp(handle.x), clamp(handle.y)];
    dragging = { path: gate.path, key, offset: [at[0] - x, at[1] - y], at, moved: false };
    choose(key);
    buttons.get(key)?.focus();
    try {
      pad.setPointerCapture(event.pointerId);
    } catch {
      // a pointer that is gone already: the drag ends with the next event
    }
  }

  function drag(event) {
    if (!dragging) {
      pad.style.cursor = drawing ? "crosshair" : handleAt(placeOf(event)) ? "grab" : "default";
      return;
    }
    const [x, y] = placeOf(event);
    dragging.at = [clamp(x + dragging.offset[0]), clamp(y + dragging.offset[1])];
    dragging.moved = true;
    pad.style.cursor = "grabbing";
    sendDrag({ type: "drag", path: dragging.path, handle: dragging.key, x: dragging.at[0], y: dragging.at[1], together });
  }

  function sendDrag(message) {
    queued = null;
    if (!dragging) return;
    if (waiting) {
      queued = message;
      return;
    }
    waiting = true;
    send({ ...message, serial: ++serial });
  }

  function endDrag() {
    if (!dragging) return;
    const { path: of, key, at, moved } = dragging;
    dragging = null;
    queued = null;
    waiting = false;
    if (!moved) return;
    refocus = key;
    send({ type: "drop", path: of, handle: key, x: at[0], y: at[1], together, joined: false });
  }

  function cancelDrag() {
    dragging = null;
    queued = null;
    waiting = false;
    preview = null;
    render();
  }

  function nudge(event, key) {
    const gate = activeGate();
    const handle = gate.handles.find((one) => one.key === key);
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    if (event.key in steps && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const by = event.shiftKey ? 10 * STEP : STEP;
      const [dx, dy] = steps[event.key];
      refocus = key;
      const x = clamp(clamp(handle.x) + by * dx);
      const y = clamp(clamp(handle.y) + by * dy);
      send({ type: "drop", path: gate.path, handle: key, x, y, together, joined: true });
    } else if (handle.corner && (event.key === "Delete" || event.key === "Backspace")) {
      send({ type: "remove_corner", path: gate.path, handle: key });
    } else if (handle.corner && (event.key === "+" || event.key === "Insert")) {
      refocus = `corner ${Number(key.split(" ")[1]) + 1}`;
      send({ type: "add_corner", path: gate.path, handle: key });
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  pad.addEventListener("pointerdown", (event) => {
    if (drawing) {
      event.preventDefault();
      addPoint(placeOf(event).map(clamp));
      return;
    }
    const key = handleAt(placeOf(event));
    if (key) startDrag(event, key);
    else chooseGateAt(placeOf(event));
  });
  pad.addEventListener("pointermove", (event) => {
    if (drawing) {
      drawing.cursor = placeOf(event).map(clamp);
      drawGates();
    }
    drag(event);
  });
  pad.addEventListener("pointerup", endDrag);
  pad.addEventListener("pointercancel", cancelDrag);
  handleLayer.addEventListener("pointermove", drag);
  handleLayer.addEventListener("pointerup", endDrag);

  /** Make the gate whose border is near a click the one that is changed. */
  function chooseGateAt(place) {
    const reach = 8 / size;
    for (const gate of state.gates.filter((one) => !one.active)) {
      for (const points of gate.outlines) {
        for (let i = 1; i < points.length; i++) {
          if (distance(place, [points[i - 1], points[i]]) <= reach) {
            send({ type: "gate", path: gate.path });
            return;
          }
        }
      }
    }
  }

  // -- drawing a gate -------------------------------------------------------------------------------------------------

  function startDrawing(shape) {
    drawing = { shape, points: [], cursor: [0.5, 0.5] };
    for (const button of tools.children) button.setAttribute("aria-pressed", String(button.dataset.shape === shape.key));
    say(`${shape.label}: set ${shape.hint}. Click, or move with the arrow keys and set with Enter; Escape leaves.`);
    pad.focus();
    drawGates();
  }

  function stopDrawing(text) {
    drawing = null;
    for (const button of tools.children) button.setAttribute("aria-pressed", "false");
    say(text);
    if (state) drawGates();
  }

  function addPoint(place) {
    const { shape, points } = drawing;
    const [first] = points;
    const closes = shape.key === "polygon" && points.length > 2 && Math.hypot(first[0] - place[0], first[1] - place[1]) < NEAR;
    if (!closes) points.push(place);
    if (closes || (shape.points && points.length === shape.points)) finish();
    else {
      say(`${shape.label}: ${points.length} set.${shape.key === "polygon" && points.length > 2 ? " Shift+Enter or the first corner closes it." : ""}`);
      drawGates();
    }
  }

  function finish() {
    const { shape, points } = drawing;
    const button = tools.querySelector(`[data-shape="${shape.key}"]`);
    stopDrawing("");
    button.focus();
    send({ type: "draw", shape: shape.key, points, name: "" });
  }

  pad.addEventListener("keydown", (event) => {
    if (!drawing) return;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    if (event.key in steps) {
      const by = (event.shiftKey ? 10 : 4) * STEP;
      drawing.cursor = drawing.cursor.map((place, i) => clamp(place + by * steps[event.key][i]));
      drawGates();
    } else if (event.key === "Enter" && event.shiftKey && drawing.points.length > 2) {
      finish();
    } else if (event.key === "Enter" || event.key === " ") {
      addPoint(drawing.cursor);
    } else if (event.key === "Backspace") {
      drawing.points.pop();
      drawGates();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });

  function sketch() {
    const { shape, points, cursor } = drawing;
    const made = [];
    const [x, y] = cursor;
    if (shape.points === 1) made.push(svg("path", { d: path([[x, 0], [x, 1]]), class: "il-sketch" }));
    else if (shape.points === 2 && points.length) {
      const [ax, ay] = points[0];
      if (shape.key === "rectangle") made.push(svg("path", { d: path([[ax, ay], [x, ay], [x, y], [ax, y]], true), class: "il-sketch" }));
      else {
        made.push(
          svg("ellipse", {
            cx: px((ax + x) / 2),
            cy: py((ay + y) / 2),
            rx: (Math.abs(x - ax) * size) / 2,
            ry: (Math.abs(y - ay) * size) / 2,
            class: "il-sketch",
          }),
        );
      }
    } else if (points.length) made.push(svg("path", { d: path([...points, cursor]), class: "il-sketch" }));
    for (const [cx, cy] of points) made.push(svg("circle", { cx: px(cx), cy: py(cy), r: 3, class: "il-sketch-point" }));
    made.push(svg("path", { d: path([[x - 0.02, y], [x + 0.02, y]]) + path([[x, y - 0.02], [x, y + 0.02]]), class: "il-cross" }));
    return made;
  }

  // -- words and menus ------------------------------------------------------------------------------------------------

  function showBar() {
    title.textContent = `${state.title} · ${state.strategy}`;
    for (const [button, words, verb] of [
      [undo, state.undo, "Undo"],
      [redo, state.redo, "Redo"],
    ]) {
      button.disabled = !words;
      button.title = words ? `${verb}: ${words}` : "";
      button.setAttribute("aria-label", words ? `${verb}: ${words}` : verb);
    }
    const parts = state.crumbs.map(({ path: to, name }, i) =>
      html("button", {
        type: "button",
        text: name,
        "aria-current": i === state.crumbs.length - 1 ? "true" : false,
        title: `Show the events of ${name}`,
        onclick: () => send({ type: "show", path: to }),
      }),
    );
    crumbs.replaceChildren(...parts.flatMap((part, i) => (i ? [html("span", { text: "›", "aria-hidden": "true" }), part] : [part])));
  }

  const SIDES = { left: "left", right: "right", bottom: "below", top: "above" };

  function showCaption() {
    const where = Object.entries(picture.sides).map(([side, n]) => `${SIDES[side]} ${count(n)}`);
    const name = state.crumbs[state.crumbs.length - 1].name;
    const beyond = picture.n_beyond ? `, ${count(picture.n_beyond)} of them beyond the axes (${where.join(", ")}).` : ", all in the picture.";
    caption.textContent = `${count(picture.n)} events of ${name}${beyond}`;
  }

  function showMenus() {
    const focused = document.activeElement && menus.contains(document.activeElement) ? document.activeElement.id : "";
    const rows = ["x", "y"].map((letter) => {
      const axis = state.axes[letter];
      const channelMenu = html("select", {
        id: `${id}-${letter}-channel`,
        onchange: (event) => send({ type: "axis", letter, source: Number(event.target.value), scale: 0 }),
      });
      if (letter === "y") channelMenu.append(html("option", { value: "-1", text: "histogram", selected: !axis }));
      state.sources.forEach((source, i) =>
        channelMenu.append(html("option", { value: String(i), text: source.label, selected: axis ? axis.source === i : false })),
      );
      const scaleMenu = html("select", {
        id: `${id}-${letter}-scale`,
        "aria-label": `Scale of ${letter}`,
        disabled: !axis,
        onchange: (event) => send({ type: "axis", letter, source: axis.source, scale: Number(event.target.value) }),
      });
      (axis ? state.sources[axis.source].scales : []).forEach((words, i) =>
        scaleMenu.append(html("option", { value: String(i), text: words, selected: axis.scale === i })),
      );
      return html("div", {}, html("label", { for: channelMenu.id, text: letter }), channelMenu, scaleMenu);
    });
    menus.replaceChildren(...rows);
    if (focused) frame.querySelector(`[id="${focused}"]`)?.focus();
    for (const button of tools.children) button.disabled = !state.axes.y && !["above", "below"].includes(button.dataset.shape);
  }

  function showTree() {
    const focused = document.activeElement && body.contains(document.activeElement) ? document.activeElement.dataset.path : null;
    const current = state.active || state.shown;
    body.replaceChildren(
      ...state.rows.map((row) => {
        const button = html("button", {
          type: "button",
          text: row.name,
          "data-path": row.path,
          "aria-current": row.path === current ? "true" : false,
          tabindex: row.path === current ? "0" : "-1",
          style: `margin-left: ${row.depth * 0.9}em`,
          title: row.path ? `Show the gate of ${row.name}; Shift: its events` : "Show all events",
          onclick: (event) => send(row.path && !event.shiftKey ? { type: "gate", path: row.path } : { type: "show", path: row.path }),
          onkeydown: (event) => stepTree(event, button),
        });
        const name = html("th", { scope: "row" }, button);
        if (row.flags.length) name.append(html("small", { class: "il-flag", text: ` ${row.flags.join(", ")}` }));
        return html("tr", { "data-path": row.path }, name, html("td"), html("td"));
      }),
    );
    showRows([]);
    const line = body.querySelector("[aria-current]")?.closest("tr");
    const box = table.parentElement;
    if (line && (line.offsetTop < box.scrollTop || line.offsetTop + line.offsetHeight > box.scrollTop + box.clientHeight)) {
      box.scrollTop = line.offsetTop - box.clientHeight / 2;
    }
    if (focused !== null) [...body.querySelectorAll("button")].find((one) => one.dataset.path === focused)?.focus();
  }

  function stepTree(event, button) {
    const all = [...body.querySelectorAll("button")];
    const i = all.indexOf(button);
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all[to]) return;
    event.preventDefault();
    event.stopPropagation();
    all[to].focus();
  }

  /** Write counts into the table; those of a drag over the ones of the state. */
  function showRows(changed) {
    const now = new Map(changed.map((row) => [row.path, row]));
    for (const line of body.children) {
      const row = state.rows.find((one) => one.path === line.dataset.path);
      const { n, percent: share } = now.get(row.path) || row;
      const was = now.has(row.path) ? row.was || (n === row.n ? null : row) : row.was;
      const cells = line.querySelectorAll("td");
      const write = (cell, text, before) => {
        cell.replaceChildren(text, ...(before ? [html("small", { text: `was ${before}` })] : []));
      };
      write(cells[0], count(n), was && count(was.n));
      write(cells[1], row.path ? percent(share) : "", was && row.path && percent(was.percent));
      line.classList.toggle("il-changed", Boolean(was));
    }
  }

  function showPanel() {
    const gate = activeGate();
    if (!gate) {
      const hint = redefine ? "Choose a population to change its gate, or draw a new gate below the events shown." : "Choose a population to move its gate.";
      panel.replaceChildren(html("p", { class: "il-hint", text: hint }));
      return;
    }
    const inside = document.activeElement && panel.contains(document.activeElement) ? document.activeElement.id : "";
    const handle = gate.handles.find((one) => one.key === chosen) || gate.handles[0] || null;
    const name = html("input", { id: `${id}-name`, value: gate.name, size: "14", "aria-label": "Name of the gate" });
    const rename = () => name.value.trim() && name.value.trim() !== gate.name && send({ type: "rename", path: gate.path, name: name.value });
    const events = html("button", { type: "button", text: "Events inside", id: `${id}-inside`, onclick: () => send({ type: "show", path: gate.path }) });
    const parts = [
      html("label", { for: name.id, text: "Gate" }),
      name,
      html("button", { type: "submit", text: "Rename", id: `${id}-rename` }),
      html("button", { type: "button", text: "Remove", id: `${id}-remove`, title: "Remove the gate and everything below it", onclick: () => send({ type: "remove", path: gate.path }) }),
    ];
    const onsubmit = (event) => {
      event.preventDefault();
      rename();
    };
    const form = html("form", { onsubmit }, ...(redefine ? parts : [html("strong", { text: gate.name })]), events);
    panel.replaceChildren(form, html("p", { class: "il-counted" }));
    if (handle) panel.append(valueForm(gate, handle));
    if (state.note) panel.append(html("p", { class: "il-hint", text: state.note }));
    showValues();
    if (inside) frame.querySelector(`[id="${inside}"]`)?.focus();
  }

  function valueForm(gate, handle) {
    const form = html("form", { class: "il-values" });
    const alone = Object.keys(handle.values).length === 1;
    if (!alone) form.append(html("span", { text: handle.label }));
    for (const [letter, value] of Object.entries(handle.values)) {
      const field = html("input", {
        id: `${id}-value-${letter}`,
        type: "number",
        step: "any",
        value: value === null ? "" : String(value),
        placeholder: value === null ? "beyond" : "",
        "data-letter": letter,
        "aria-label": `${handle.label}, ${handle.names[letter]}, instrument units`,
      });
      form.append(html("label", { for: field.id, text: alone ? handle.label : handle.names[letter] }), field);
    }
    form.append(html("button", { type: "submit", text: "Set" }));
    if (handle.shared_by?.length) {
      const box = html("input", {
        id: `${id}-together`,
        type: "checkbox",
        checked: together,
        onchange: (event) => (together = event.target.checked),
      });
      const names = handle.shared_by.length > 4 ? `${handle.shared_by.length} other gates` : handle.shared_by.join(", ");
      form.append(html("label", { class: "il-shared", title: handle.shared_by.join(", ") }, box, `also in ${names}: the same border`));
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const now = activeGate()?.handles.find((one) => one.key === handle.key);
      for (const field of form.querySelectorAll("input[data-letter]")) {
        const value = Number(field.value);
        if (field.value !== "" && now && value !== now.values[field.dataset.letter]) {
          send({ type: "value", path: gate.path, handle: handle.key, letter: field.dataset.letter, value, together });
        }
      }
    });
    return form;
  }

  /** Write the dragged gate's count and the values at its handle. */
  function showValues() {
    const gate = activeGate();
    if (!gate) return;
    const counted = panel.querySelector(".il-counted");
    if (counted) counted.textContent = `${count(gate.n)} events, ${percent(gate.percent)} of ${state.crumbs[state.crumbs.length - 1].name}`;
    const handle = gate.handles.find((one) => one.key === chosen) || gate.handles[0];
    for (const field of handle ? panel.querySelectorAll(".il-values input[data-letter]") : []) {
      if (field !== document.activeElement && field.dataset.letter in handle.values) field.value = String(handle.values[field.dataset.letter] ?? "");
    }
  }

  function render() {
    layOut();
    showBar();
    showCaption();
    showMenus();
    showTree();
    showPanel();
    drawEvents();
    drawGates();
  }

  frame.addEventListener("keydown", (event) => {
    event.stopPropagation(); // a notebook would take the focus away, and the next letter as a command on its cells
    const key = event.key.toLowerCase();
    if (event.key === "Escape" && (dragging || drawing)) {
      if (dragging) cancelDrag();
      else stopDrawing("Nothing was drawn.");
    } else if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y") && !(event.target instanceof HTMLInputElement)) {
      send({ type: key === "y" || event.shiftKey ? "redo" : "undo" });
    } else {
      return;
    }
    event.preventDefault();
  });

  const watch = new ResizeObserver(() => {
    if (!state) return;
    layOut();
    drawGates();
  });
  watch.observe(frame);
  send({ type: "open" });

  return () => {
    watch.disconnect();
    clearTimeout(patience);
    frame.remove();
  };
}

/** The notebook's way in (anywidget): messages go over the widget's model. */
export default {
  render({ model, el }) {
    return mount(el, {
      send: (message) => model.send(message),
      on: (handler) => model.on("msg:custom", handler),
    });
  },
};
