"use strict";
(() => {
  // The page's script. Without it everything can be read; with it the figures answer. All that the
  // reader has chosen is in `state`; `update` shows it. It is one file, because a page holds it whole
  // and needs no build.
  const all = (selector, of = document) => [...of.querySelectorAll(selector)];
  const one = (selector, of = document) => of.querySelector(selector);
  const data = JSON.parse(one("#data").textContent);
  const state = {
    hidden: new Set(), // groups whose legend entry is off
    lit: null, // the trial whose curve and row are lit
    only: null, // the point of a search whose trials the table shows: { g, p }
    x: null, // steps, epochs, examples or seconds; null: as printed
    xLog: null, // a logarithmic axis; null: as printed
    yLog: null,
    flat: new Set(), // logarithmic axes of other figures that are drawn as linear ones: "gap-batch x"
    most: 100, // rows of the table of trials that are shown at most; all of them would be slow
  };
  let running = []; // trials that run now, of which a server tells
  // A page that is loaded anew keeps what the reader has chosen.
  const { hidden = [], flat = [], ...kept } = history.state ?? {};
  Object.assign(state, kept, { hidden: new Set(hidden), flat: new Set(flat) });

  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [k, v] of Object.entries(attributes)) k.startsWith("on") ? node.addEventListener(k.slice(2), v) : node.setAttribute(k, v);
    node.append(...children);
    return node;
  };
  const short = (x, digits = 4) => x === null ? "–" : Number(x.toPrecision(digits)).toString().replace("-", "−");
  const values = { loss: "training loss", validation: data.validation.words };
  const written = (kind, y) => kind === "validation" && data.validation.percent ? `${(100 * y).toFixed(2)} %` : short(y);
  const named = t => `${data.groups[t.g].label}${t.rate === null ? "" : `, rate ${short(t.rate, 3)}`}, seed ${t.seed}${t.stage === "tune" ? ", tune" : ""}${t.share === undefined ? "" : ", running"}`;

  // The tooltip, which a screen reader also reads.
  const tip = make("div", { id: "tip", role: "status", "aria-live": "polite" });
  document.body.append(tip);
  const tell = (text, x, y) => {
    tip.textContent = text;
    tip.classList.toggle("on", text !== "");
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(x + 12, room))}px`;
    tip.style.top = `${Math.max(8, y - tip.offsetHeight - 12)}px`;
  };

  // Groups of an element: its own, or those of what is drawn in it. Probes know a group's label only.
  const labels = new Map(data.groups.map((g, i) => [g.label, i]));
  const groupsOf = element => {
    const own = element.closest("[data-g]");
    const marked = own && element.matches("[data-g], [data-g] *") ? [own] : all("[data-g]", element);
    const numbers = marked.map(e => Number(e.dataset.g));
    const label = labels.get(element.dataset.n);
    return [...new Set(label === undefined ? numbers : [...numbers, label])];
  };

  // Figures, with what the script needs of each.
  const figures = all("figure").map(node => {
    const svg = one("svg", node), frame = svg.dataset.frame.split(" ").map(Number);
    // `points` gives what the pointer finds: a place, its words, and the trial if it is one.
    const figure = { node, svg, frame, area: one(".area", svg), near: null, points: () => [] };
    const [kind, x, log] = (svg.dataset.kind || "").split(" ");
    if (kind) {
      Object.assign(figure, { kind, x, log: log === "log", groups: groupsOf(figure.area), live: Boolean(node.closest("#running")) });
      figure.entry = new Map(all(".ser", svg).map(s => [groupsOf(s)[0], Number(s.dataset.s)]));
      // The mark at the end of a curve is that of the legend.
      figure.marks = new Map(all(".key", svg).map(key => {
        const mark = one(".mk", key), { x, y, width, height } = mark.getBBox();
        return [Number(key.dataset.s), (px, py) => `<path class="${mark.getAttribute("class")}" d="${mark.getAttribute("d")}" transform="translate(${px - x - width / 2} ${py - y - height / 2})"/>`];
      }));
    }
    figure.keys = all(".key", svg).map(key => {
      const series = all(`.ser[data-s="${key.dataset.s}"]`, svg);
      return { key, groups: [...new Set(series.flatMap(groupsOf))], series };
    });
    return figure;
  });
  data.trials.forEach((t, i) => { t.i = i; });
  const curves = figures.filter(f => f.kind), lasting = curves.filter(f => !f.live);

  // What the script draws itself looks the same in a saved figure.
  const DRAWN = ".off{visibility:hidden}.sd{stroke-width:.8;opacity:.35}.lit{stroke-width:3.4}.now{stroke-dasharray:6 3}";
  document.head.append(make("style", {}, DRAWN));

  // --- Axes and curves.

  const scale = (points, log, from, to) => {
    const usable = points.filter(v => Number.isFinite(v) && (!log || v > 0));
    let low = Math.min(...usable), high = Math.max(...usable);
    if (!(low <= high)) [low, high] = [1, 2];
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - Math.abs(low) / 2 - 1e-3, high + Math.abs(high) / 2 + 1e-3];
    const f = log ? Math.log : v => v, pad = 0.03 * (f(high) - f(low));
    const [a, b] = [f(low) - pad, f(high) + pad];
    const at = v => log && !(v > 0) ? NaN : from + (f(v) - a) / (b - a) * (to - from);
    const ends = log ? [Math.exp(a), Math.exp(b)] : [a, b], ticks = [];
    const decades = Math.log10(ends[1] / ends[0]);
    if (log && decades > 0.7) {
      const marks = decades > 4 ? [1] : decades > 1.6 ? [1, 3] : [1, 2, 5];
      const step = Math.max(1, Math.ceil(decades / 7));
      for (let e = Math.floor(Math.log10(ends[0])); e <= Math.log10(ends[1]); e++)
        if (e % step === 0) for (const m of marks) ticks.push(m * 10 ** e);
    } else {
      const raw = (ends[1] - ends[0]) / 5, unit = 10 ** Math.floor(Math.log10(raw));
      const step = [1, 2, 2.5, 5, 10].map(m => m * unit).find(s => s >= raw * 0.999);
      for (let k = Math.ceil(ends[0] / step); k * step <= ends[1]; k++) ticks.push(k * step);
    }
    return { at, ticks: ticks.filter(t => t >= ends[0] && t <= ends[1]) };
  };

  const along = (trial, x) => {
    const axis = data.axes[trial.axis] ?? trial.axis;
    if (x !== "seconds") return axis[x];
    const last = axis.steps.at(-1) || 1;
    return trial.clock ??= axis.steps.map(s => trial.seconds * s / last);
  };
  const line = (t, kind, x) => along(t, x).map((v, i) => [v, t[kind][i]]);

  // What depends on a group's trials alone is computed once.
  const known = new Map();
  const once = (key, compute) => known.has(key) ? known.get(key) : known.set(key, compute()).get(key);
  const trialsOf = g => once(`${g}`, () => data.trials.filter(t => t.g === g));
  const reported = g => once(`${g} reported`, () => trialsOf(g).filter(t => t.reported));

  // Mean, minimum and maximum over seeds at each step that at least half of them have.
  const meanOf = (trials, kind, x) => {
    const steps = new Map();
    for (const t of trials) {
      const xs = along(t, x);
      data.axes[t.axis].steps.forEach((step, i) => {
        const y = t[kind][i];
        if (y === null) return;
        if (!steps.has(step)) steps.set(step, { x: 0, y: [] });
        const point = steps.get(step);
        point.x += xs[i];
        point.y.push(y);
      });
    }
    return [...steps].sort((p, q) => p[0] - q[0]).filter(([, p]) => 2 * p.y.length >= trials.length).map(([, p]) => ({
      x: p.x / p.y.length,
      y: p.y.reduce((a, b) => a + b, 0) / p.y.length,
      low: Math.min(...p.y),
      high: Math.max(...p.y),
    }));
  };

  const path = (points, close = "") => {
    let d = "", pen = "M";
    for (const [x, y] of points) {
      if (Number.isFinite(x) && Number.isFinite(y)) { d += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`; pen = "L"; } else pen = "M";
    }
    return d && d + close;
  };

  const px = v => Number(v.toFixed(1));
  const text = (x, y, anchor, words) => `<text class="m" text-anchor="${anchor}" x="${px(x)}" y="${px(y)}">${words}</text>`;
  const ticksAlong = ([left, right, top, bottom], at, ticks, title) => {
    let grid = "", free = -Infinity;
    for (const t of ticks) {
      const x = at(t), words = t >= 1e5 ? t.toExponential().replace("+", "") : short(t), half = 3.6 * words.length;
      grid += `<path class="gr" d="M${px(x)} ${top}L${px(x)} ${bottom}"/>`;
      if (x - half > free) { grid += text(x, bottom + 16, "middle", words); free = x + half + 6; }
    }
    return `${grid}<path class="ax" d="M${left} ${bottom}L${right} ${bottom}"/>${text(right, bottom + 34, "end", title)}`;
  };
  const ticksUp = ([left, right, top], at, ticks, title, factor = 1) => {
    const grid = ticks.map(t => `<path class="gr" d="M${left} ${px(at(t))}L${right} ${px(at(t))}"/>${text(left - 7, at(t) + 4, "end", short(t * factor))}`);
    return grid.join("") + text(12, top - 9, "start", title);
  };

  // More single curves than these say less than the bands, and take longer than a reader waits.
  const MOST_CURVES = 200;

  const draw = figure => {
    const { kind, frame, live } = figure, [left, right, top, bottom] = frame;
    const x = state.x || figure.x, xLog = state.xLog ?? figure.log, yLog = state.yLog ?? kind === "loss";
    const now = running.filter(t => !state.hidden.has(t.g) && (live || t.stage === "confirm" && figure.groups.includes(t.g)));
    const shown = live ? [...new Set(now.map(t => t.g))] : figure.groups.filter(g => !state.hidden.has(g));
    const sets = shown.map(g => ({ g, trials: live ? trialsOf(g).slice(-20) : reported(g) })).filter(s => live || s.trials.length);
    for (const set of sets) set.mean = live ? [] : once(`${set.g} ${kind} ${x}`, () => meanOf(set.trials, kind, x));
    const drawn = sets.reduce((n, s) => n + s.trials.length, 0);
    const single = set => set.trials.length <= 40 && drawn <= MOST_CURVES ? set.trials : [];
    const lit = state.lit === null ? null : data.trials[state.lit];
    const extra = lit && shown.includes(lit.g) ? line(lit, kind, x).filter(p => p[1] !== null) : [];
    const lines = [...now, ...live ? sets.flatMap(s => s.trials) : []].flatMap(t => line(t, kind, x));
    const points = [...sets.flatMap(s => s.mean.map(p => [p.x, p.y])), ...extra, ...lines.filter(p => p[1] !== null)];
    const ys = points.map(p => p[1]).sort((a, b) => a - b);
    // As printed: the first points, from an untrained model, would take most of a linear axis.
    const cut = kind === "validation" && !yLog && !live ? ys.slice(Math.floor(ys.length / 10)) : ys;
    const sx = scale([...points.map(p => p[0]), ...(xLog ? [] : [0])], xLog, left, right);
    const sy = scale(cut, yLog, bottom, top);
    const factor = kind === "validation" && data.validation.percent ? 100 : 1;
    const at = p => [sx.at(p[0]), sy.at(p[1] ?? NaN)];
    const grid = ticksUp(frame, sy.at, sy.ticks, values[kind] + (factor === 100 ? ", %" : ""), factor) + ticksAlong(frame, sx.at, sx.ticks, x);
    let body = "";
    for (const set of sets) {
      const { g, mean } = set, s = figure.entry.get(g) ?? g, colour = s % 10, dash = ["", "7 3", "2 3"][Math.floor(s / 10) % 3];
      const band = path([...mean.map(p => at([p.x, p.low])), ...mean.map(p => at([p.x, p.high])).reverse()], "Z");
      body += `<g class="ser" data-s="${s}" data-g="${g}"><path class="bn f${colour}" d="${band}"/>`;
      for (const t of single(set)) body += `<path class="sd s${colour}" d="${path(line(t, kind, x).map(at))}"/>`;
      body += `<path class="ln s${colour}" stroke-dasharray="${dash}" d="${path(mean.map(p => at([p.x, p.y])))}"/>`;
      const end = mean.length ? at([mean.at(-1).x, mean.at(-1).y]) : [];
      body += `${Number.isFinite(end[1]) && end[1] <= bottom ? figure.marks.get(s)?.(...end) ?? "" : ""}</g>`;
    }
    // Running trials are dashed, and their ends hollow.
    for (const t of now) {
      const colour = (figure.entry.get(t.g) ?? t.g) % 10, points = line(t, kind, x).map(at), end = points.findLast(p => Number.isFinite(p[1]));
      body += `<g data-g="${t.g}"><path class="ln now s${colour}" d="${path(points)}"/>${end ? `<circle class="h s${colour}" cx="${px(end[0])}" cy="${px(end[1])}" r="4"/>` : ""}</g>`;
    }
    if (extra.length) body += `<path class="lit s${(figure.entry.get(lit.g) ?? lit.g) % 10}" d="${path(extra.map(at))}"/>`;
    const clip = one("clipPath", figure.svg);
    figure.area.innerHTML = `${grid}${clip.outerHTML}<g clip-path="url(#${clip.id})">${body}</g>`;
    figure.svg.dataset.drawn = `${x}${xLog ? " log" : ""}`;
    const title = one(".tt", figure.svg);
    figure.title ??= title.textContent;
    title.textContent = figure.title.replace(/ in (steps|epochs)/, ` in ${x}`);
    Object.assign(figure, { near: null, now: now.length });
    figure.points = () => [...now, ...sets.flatMap(s => s.trials)].flatMap(t => line(t, kind, x).map((p, i) => {
      const [px, py] = at(p);
      return { px, py, trial: t.i ?? -1, words: () => `${named(t)}: ${values[kind]} ${written(kind, t[kind][i])} at ${short(p[0])} ${x}` };
    }).filter(p => Number.isFinite(p.px) && p.py >= top && p.py <= bottom));
  };

  // --- The other figures: a logarithmic axis can be drawn as a linear one from 0, by moving what was
  // drawn along the logarithmic one.

  const axisOf = (figure, way) => {
    const [from, to, low, high, ...title] = (figure.svg.dataset[`log${way}`] || "").split(" ");
    return title.length ? { from: +from, to: +to, low: +low, high: +high, title: title.join(" "), way } : null;
  };
  const move = (figure, { from, to, low, high, title, way }) => {
    const place = p => {
      const t = (p - from) / (to - from);
      // The ends of lines across the figure stay there.
      return t < 0.0005 || t > 0.9995 ? p : from + low * (high / low) ** t / high * (to - from);
    };
    const across = way === "x", pair = /([ML])(-?[\d.]+) (-?[\d.]+)/g;
    const moved = (x, y) => (across ? [place(x), y] : [x, place(y)]).map(px);
    const shift = (node, box) => {
      const old = across ? box.x + box.width / 2 : box.y + box.height / 2;
      const by = place(old) - old, before = node.getAttribute("transform") ?? "";
      node.setAttribute("transform", `${before} translate(${across ? by : 0} ${across ? 0 : by})`);
    };
    const nodes = all("path, circle, text", figure.area).filter(node => !node.closest(".xa, .ya, clipPath"));
    // All are measured before one is moved: each change costs a layout.
    const boxes = nodes.map(node => node.getBBox());
    for (const [i, node] of nodes.entries()) {
      const box = boxes[i], caps = (across ? box.width : box.height) < 9;
      if (node.matches("text, circle, .mk") || node.matches(".iv") && caps) { shift(node, box); continue; }
      // A straight line of a theory is a curve on the other axis.
      const parts = node.matches(".gd, .th") ? 24 : 1;
      let last = null;
      node.setAttribute("d", node.getAttribute("d").replace(pair, (_, pen, x, y) => {
        const end = [+x, +y], begin = pen === "L" && last ? last : null;
        last = end;
        if (!begin) return `${pen}${moved(...end).join(" ")}`;
        return [...Array(parts)].map((_, k) => (k + 1) / parts).map(t => `L${moved(begin[0] + t * (end[0] - begin[0]), begin[1] + t * (end[1] - begin[1])).join(" ")}`).join("");
      }));
    }
    const at = v => from + v / high * (to - from), { ticks } = scale([0, high / 1.03], false, from, to);
    one(across ? ".xa" : ".ya", figure.area).innerHTML = (across ? ticksAlong : ticksUp)(figure.frame, at, ticks.filter(t => t >= 0 && t <= high), title);
  };
  const arrange = figure => {
    const flat = figure.logs.filter(axis => state.flat.has(`${figure.node.id} ${axis.way}`));
    const which = flat.map(axis => axis.way).join("");
    if (figure.arranged === which) return;
    figure.arranged = which;
    figure.area.innerHTML = figure.printed;
    for (const axis of flat) move(figure, axis);
    figure.near = null;
    figure.parts = partsOf(figure);
  };

  // The numbers behind lines: the titles of the axes, and each line's label and points.
  const linesOf = ({ svg }) => {
    const [titles, ...lines] = (svg.dataset.lines || "").split("\n").map(l => l.split("\t"));
    return { titles, lines: lines.map(([label, points]) => {
      const v = points.split(" ").map(Number);
      return { label, points: v.flatMap((x, i) => i % 2 ? [] : [[x, v[i + 1]]]) };
    }) };
  };
  // Each vertex of a line is one of its points, if all are drawn.
  const alongLines = figure => {
    const { titles, lines } = linesOf(figure), drawn = Object.groupBy(all(".ser > path.ln", figure.area), node => node.parentNode.dataset.n);
    const isOn = (v, way) => Number.isFinite(v) && (v > 0 || !figure.svg.dataset[`log${way}`]);
    return lines.flatMap(({ label, points }) => {
      const fits = points.filter(([x, y]) => isOn(x, "x") && isOn(y, "y"));
      const at = [...(drawn[label]?.shift()?.getAttribute("d") ?? "").matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)];
      if (at.length !== fits.length) return [];
      return at.map(([, px, py], k) => ({ px: +px, py: +py, words: () => `${label || titles[1]}: ${short(fits[k][1])} at ${short(fits[k][0])} ${titles[0]}` }));
    });
  };
  const partsOf = figure => all(".area [data-g], .area .ser", figure.svg).map(node => ({ node, groups: groupsOf(node) }));

  // --- The table of trials.

  const table = one(".trials"), rows = table ? [...table.tBodies[0].rows] : [], order = [...rows];
  const input = one(".filter input"), count = one(".filter output");
  const filter = () => {
    if (!table) return;
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let fit = 0;
    for (const row of rows) {
      const { g, p } = row.dataset;
      if (words.length) row.words ??= row.textContent.toLowerCase();
      const fits = words.every(w => row.words.includes(w)) && !state.hidden.has(Number(g))
        && (!state.only || state.only.g === g && state.only.p === p);
      fit += fits;
      const shown = fits && (fit <= state.most || row === order[state.lit]);
      if (row.hidden === shown) row.hidden = !shown;
    }
    const only = state.only ? `, one point of ${data.groups[state.only.g].label}` : "";
    const first = fit > state.most ? `; the first ${state.most} are shown` : "";
    count.textContent = `${fit} of ${order.length}${only}${first}`;
    everything.hidden = !state.only && !state.hidden.size && !first;
  };
  const everything = make("button", { type: "button", class: "small", hidden: "", onclick: () => {
    state.only || state.hidden.size ? (state.only = null, state.hidden.clear()) : state.most = Infinity;
    update();
  } }, "show all");

  // --- Everything on the page that depends on the state.

  const arms = all(".summary tr[data-g]");
  let lit = null;
  const update = () => {
    const isOff = groups => groups.length > 0 && groups.every(g => state.hidden.has(g));
    for (const figure of figures) {
      for (const { key, groups } of figure.keys) {
        key.classList.toggle("off", isOff(groups));
        if (groups.length) key.setAttribute("aria-pressed", String(!isOff(groups)));
      }
      if (figure.kind) { figure.stale = true; continue; }
      arrange(figure);
      for (const { node, groups } of figure.parts) node.classList.toggle("off", isOff(groups));
    }
    for (const row of arms) row.classList.toggle("off", state.hidden.has(Number(row.dataset.g)));
    order[lit]?.setAttribute("aria-selected", "false");
    lit = state.lit;
    order[lit]?.setAttribute("aria-selected", "true");
    for (const f of lasting) {
      // One axis for all makes the printed pair of steps and epochs the same figure.
      f.node.hidden = state.x !== null && f.x !== "steps" && lasting.some(o => o.x === "steps" && o.kind === f.kind);
    }
    redraw();
    filter();
    const { hidden, only, x, xLog, yLog, flat } = state;
    history.replaceState({ hidden: [...hidden], only, x, xLog, yLog, flat: [...flat] }, "");
  };
  // Figures out of sight are drawn when they come into sight.
  const inSight = ({ node, live }) => { const r = node.getBoundingClientRect(); return live || r.bottom > -200 && r.top < innerHeight + 200; };
  const redraw = (which = inSight) => {
    // All are looked at before one is drawn: a look after a change costs a layout.
    for (const f of curves.filter(f => f.stale && !f.node.hidden && which(f))) { f.stale = false; draw(f); }
  };
  addEventListener("scroll", () => redraw(), { passive: true });
  addEventListener("beforeprint", () => redraw(() => true));

  const light = trial => {
    state.lit = state.lit === trial ? null : trial;
    update();
    const row = order[trial], box = row && row.closest(".tall");
    if (row && !row.hidden && state.lit !== null) box.scrollTop = row.offsetTop - box.clientHeight / 2;
  };
  const open = (g, p) => {
    state.only = { g, p };
    update();
    one("#trials").scrollIntoView();
  };

  // --- Legends: pointing dims the others, a click hides the arm everywhere.

  const press = node => node.addEventListener("keydown", e => {
    if (e.key === "Enter" || e.key === " ") { e.preventDefault(); node.dispatchEvent(new MouseEvent("click", { bubbles: true })); }
  });
  for (const { svg, keys } of figures) {
    for (const { key, groups } of keys) {
      const show = on => {
        svg.classList.toggle("dim", on);
        for (const g of all("[data-s]", svg)) g.classList.toggle("on", on && g.dataset.s === key.dataset.s);
      };
      key.addEventListener("pointerenter", () => show(true));
      key.addEventListener("pointerleave", () => show(false));
      if (!groups.length) continue;
      key.setAttribute("role", "button");
      key.setAttribute("tabindex", "0");
      key.setAttribute("aria-label", `show ${one("text", key).textContent}`);
      press(key);
      key.addEventListener("click", () => {
        const off = groups.every(g => state.hidden.has(g));
        for (const g of groups) off ? state.hidden.delete(g) : state.hidden.add(g);
        update();
      });
    }
  }

  // --- Marks: pointer, arrow keys, click.

  const nearOf = figure => figure.near ??= figure.points();
  const said = mark => mark.dataset.tip ?? one("title", mark)?.textContent;
  for (const figure of figures) {
    const { svg } = figure;
    for (const title of all(".area title", svg)) {
      title.parentNode.dataset.tip = title.textContent;
      title.parentNode.setAttribute("aria-label", title.textContent);
      title.remove();
    }
    if (!figure.kind) {
      // Colours and contours are not drawn by values along an axis.
      const fixed = one("rect:not(clipPath *), path[class='']", figure.area);
      figure.logs = ["x", "y"].map(way => axisOf(figure, way)).filter(axis => axis && !fixed);
      Object.assign(figure, { printed: figure.area.innerHTML, arranged: "", parts: partsOf(figure), points: () => alongLines(figure) });
    }
    const place = e => {
      const box = svg.getBoundingClientRect(), by = box.width / svg.viewBox.baseVal.width;
      return { box, by, x: (e.clientX - box.left) / by, y: (e.clientY - box.top) / by };
    };
    const nearest = e => {
      const { x, y } = place(e);
      let best = null, least = 14 ** 2;
      for (const n of nearOf(figure)) {
        const d = (n.px - x) ** 2 + (n.py - y) ** 2;
        if (d < least) [best, least] = [n, d];
      }
      return best;
    };
    svg.addEventListener("pointermove", e => {
      const mark = e.target.closest("[data-tip]"), n = (figure.kind || !mark) && nearest(e);
      tell(n ? n.words() : mark ? said(mark) : "", e.clientX, e.clientY);
      svg.style.cursor = n?.trial >= 0 || mark?.dataset.p ? "pointer" : "";
    });
    svg.addEventListener("pointerleave", () => tell("", 0, 0));
    svg.addEventListener("click", e => {
      if (e.target.closest(".key")) return;
      const cell = e.target.closest("[data-p]"), n = figure.kind && nearest(e);
      if (cell) open(cell.closest("[data-g]").dataset.g, cell.dataset.p);
      else if (n?.trial >= 0) light(n.trial);
    });
    if (figure.kind) svg.addEventListener("pointerenter", () => { if (!svg.dataset.drawn) draw(figure); });
    // The arrow keys go from mark to mark, or along the curves.
    let at = -1;
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("role", "group");
    svg.addEventListener("focusout", () => tell("", 0, 0));
    svg.addEventListener("keydown", e => {
      if (e.target !== svg) return;
      if (figure.kind && !svg.dataset.drawn) draw(figure);
      const seen = all(".area [data-tip]", svg).filter(m => !m.closest(".off"));
      const marks = figure.kind || !seen.length ? nearOf(figure) : seen;
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
      if (step && marks.length) {
        e.preventDefault();
        at = (at + step + marks.length) % marks.length;
        const m = marks[at], { box, by } = place({ clientX: 0, clientY: 0 });
        if (m.words) return tell(m.words(), box.left + m.px * by, box.top + m.py * by);
        const rect = m.getBoundingClientRect();
        tell(said(m), rect.right, rect.top);
      } else if (e.key === "Enter" && marks[at]) {
        const m = marks[at];
        if (m.trial >= 0) light(m.trial);
        else if (m.dataset?.p) open(m.closest("[data-g]").dataset.g, m.dataset.p);
      } else if (e.key === "Escape") tell("", 0, 0);
    });
  }

  // --- Below each figure: save it, or read it as a table.

  const whole = figure => {
    const svg = figure.svg.cloneNode(true), { width, height } = figure.svg.viewBox.baseVal;
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.innerHTML = `<style>${one("#figures").textContent}${DRAWN}</style><rect class="bg" width="${width}" height="${height}"/>${svg.innerHTML}`;
    return new XMLSerializer().serializeToString(svg);
  };
  const save = (name, url) => make("a", { download: name, href: url }).click();
  const picture = figure => {
    const image = new Image(), { width, height } = figure.svg.viewBox.baseVal;
    image.onload = () => {
      const canvas = make("canvas", { width: 2 * width, height: 2 * height });
      canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
      save(`${figure.node.id}.png`, canvas.toDataURL("image/png"));
    };
    image.src = `data:image/svg+xml,${encodeURIComponent(whole(figure))}`;
  };
  const numbers = figure => {
    const cells = ([first, ...rest]) => make("tr", {}, make("th", { scope: "row" }, first), ...rest.map(v => make("td", {}, v)));
    const { titles, lines } = linesOf(figure);
    let rows, head = [];
    if (lines.length) {
      const at = new Map(lines.flatMap(l => l.points.map(p => [p[0], lines.map(() => "–")])));
      lines.forEach((l, i) => l.points.forEach(([x, y]) => { at.get(x)[i] = Number.isFinite(y) ? short(y) : "–"; }));
      rows = [...at].sort((p, q) => p[0] - q[0]).map(([x, ys]) => [short(x, 6), ...ys]);
      head = [make("thead", {}, make("tr", {}, ...[titles[0], ...lines.map(l => l.label || titles[1])].map(h => make("th", {}, h))))];
    } else rows = figure.kind
      ? figure.groups.flatMap(reported).map(t => [named(t), written(figure.kind, t[figure.kind].findLast(y => y !== null) ?? null)])
      : all(".area [data-tip]", figure.svg).map(m => { const [name, ...rest] = said(m).split(": "); return [name, rest.join(": ")]; });
    return make("div", { class: "scroll tall numbers" }, make("table", { class: "plain" }, ...head, make("tbody", {}, ...rows.map(cells))));
  };
  for (const figure of figures) {
    const name = figure.svg.getAttribute("aria-label"), { id } = figure.node;
    const button = (text, label, click) => make("button", { type: "button", class: "small", "aria-label": `${label}: ${name}`, onclick: click }, text);
    const toggle = e => {
      const old = one(".numbers", figure.node);
      old ? old.remove() : figure.node.append(numbers(figure));
      e.currentTarget.setAttribute("aria-expanded", String(!old));
    };
    const flatten = ({ way, title }) => {
      const key = `${id} ${way}`, words = () => `${title}: ${state.flat.has(key) ? "logarithmic" : "linear"}`;
      return button(words(), "change the axis", e => {
        state.flat.delete(key) || state.flat.add(key);
        e.currentTarget.textContent = words();
        update();
      });
    };
    figure.node.append(make("div", { class: "tools" },
      button("SVG", "save as SVG", () => save(`${id}.svg`, `data:image/svg+xml,${encodeURIComponent(whole(figure))}`)),
      button("PNG", "save as PNG", () => picture(figure)),
      ...(figure.kind && !figure.live || figure.svg.dataset.lines || one(".area [data-tip]", figure.svg) ? [button("Table", "show as a table", toggle)] : []),
      ...(figure.logs ?? []).map(flatten)));
  }

  // --- The axes of all curves.

  if (lasting.length) {
    const choice = (words, options, set) => make("label", {}, `${words} `, make("select", { onchange: e => { set(e.target.value); update(); } },
      ...options.map(([value, text]) => make("option", { value }, text))));
    const scales = [["", "as printed"], ["linear", "linear"], ["log", "logarithmic"]];
    const log = value => value === "" ? null : value === "log";
    const thinned = data.every > 1 ? [make("span", {}, `Of ${data.every} points, one is drawn.`)] : [];
    lasting[0].node.parentNode.before(make("div", { class: "axes" },
      choice("horizontal axis", [["", "as printed"], ...["steps", "epochs", "examples", "seconds"].map(v => [v, v])], v => { state.x = v || null; }),
      choice("its scale", scales, v => { state.xLog = log(v); }),
      choice("vertical scale", scales, v => { state.yLog = log(v); }), ...thinned));
  }

  // --- Terms, explained where the pointer rests.

  for (const term of all("[title]")) {
    term.dataset.tip = term.title;
    term.removeAttribute("title");
    if (term.closest("thead")) term.setAttribute("tabindex", "0");
    const show = () => { const r = term.getBoundingClientRect(); tell(term.dataset.tip, r.left, r.top); };
    for (const on of ["pointerenter", "focus"]) term.addEventListener(on, show);
    for (const off of ["pointerleave", "blur"]) term.addEventListener(off, () => tell("", 0, 0));
  }

  // --- The running trials, of which a server tells.

  addEventListener("running", e => {
    running = e.detail;
    const section = one("#running");
    section.hidden = !running.length;
    one("tbody", section).replaceChildren(...running.map(t => make("tr", {},
      make("th", { scope: "row" }, data.groups[t.g].label), make("td", {}, t.stage), make("td", {}, t.rate === null ? "–" : short(t.rate, 3)), make("td", {}, String(t.seed)),
      make("td", {}, make("progress", { value: t.share ?? 0, "aria-label": "done" }), ` ${Math.round(100 * t.share)} %`), make("td", {}, `${t.seconds} s`),
      ...["loss", "validation"].map(kind => make("td", {}, written(kind, t[kind].findLast(y => y !== null) ?? null))))));
    for (const f of curves) if (f.live || f.now || running.some(t => f.groups.includes(t.g))) f.stale = true;
    redraw();
  });

  // --- The table: sort, filter, light a trial's curve.

  if (!table) return history.state ? update() : undefined;
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, i) => {
    const cell = row.cells[i], v = cell.dataset.v;
    if (v === undefined) return cell.textContent;
    return v === "" ? null : Number(v);
  };
  heads.forEach((head, i) => one("button", head).addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending", way = up ? 1 : -1;
    heads.forEach(h => h.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    rows.sort((p, q) => {
      const a = value(p, i), b = value(q, i);
      // Missing values come last in both directions.
      if (a === null || b === null) return (a === null) - (b === null);
      return way * (typeof a === "number" ? a - b : a.localeCompare(b));
    });
    table.tBodies[0].append(...rows);
    filter();
  }));
  order.forEach((row, i) => {
    row.tabIndex = i ? -1 : 0;
    row.addEventListener("click", () => light(i));
    row.addEventListener("keydown", e => {
      const way = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[e.key];
      if (way) {
        e.preventDefault();
        let next = row[way];
        while (next?.hidden) next = next[way];
        next?.focus();
      } else if (e.key === "Enter" || e.key === " ") { e.preventDefault(); light(i); }
    });
  });
  count.after(" ", everything);
  input.addEventListener("input", filter);
  history.state ? update() : filter();
})();
