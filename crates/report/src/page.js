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
  };
  // A page that is loaded anew keeps what the reader has chosen.
  const { hidden = [], ...kept } = history.state ?? {};
  Object.assign(state, kept, { hidden: new Set(hidden) });

  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [k, v] of Object.entries(attributes)) k.startsWith("on") ? node.addEventListener(k.slice(2), v) : node.setAttribute(k, v);
    node.append(...children);
    return node;
  };
  const short = (x, digits = 4) => x === null ? "–" : Number(x.toPrecision(digits)).toString().replace("-", "−");
  const values = { loss: "training loss", validation: data.validation.words };
  const written = (kind, y) => kind === "validation" && data.validation.percent ? `${(100 * y).toFixed(2)} %` : short(y);
  const named = t => `${data.groups[t.g].label}${t.rate === null ? "" : `, rate ${short(t.rate, 3)}`}, seed ${t.seed}${t.stage === "tune" ? ", tune" : ""}`;

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
    const svg = one("svg", node), figure = { node, svg, area: one(".area", svg), near: [] };
    const [kind, x, log] = (svg.dataset.kind || "").split(" ");
    if (kind) {
      const frame = svg.dataset.frame.split(" ").map(Number);
      Object.assign(figure, { kind, x, log: log === "log", frame, groups: groupsOf(figure.area) });
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
  const curves = figures.filter(f => f.kind);

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
    const axis = data.axes[trial.axis];
    if (x !== "seconds") return axis[x];
    const last = axis.steps.at(-1) || 1;
    return axis.steps.map(s => trial.seconds * s / last);
  };

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

  const draw = figure => {
    const { kind, frame: [left, right, top, bottom] } = figure;
    const x = state.x || figure.x, xLog = state.xLog ?? figure.log, yLog = state.yLog ?? kind === "loss";
    const shown = figure.groups.filter(g => !state.hidden.has(g));
    const trials = data.trials.filter(t => shown.includes(t.g));
    const sets = shown.map(g => ({ g, trials: trials.filter(t => t.g === g && t.reported) })).filter(s => s.trials.length);
    for (const set of sets) set.mean = meanOf(set.trials, kind, x);
    const lit = state.lit === null ? null : data.trials[state.lit];
    const line = t => along(t, x).map((v, i) => [v, t[kind][i]]);
    const extra = lit && shown.includes(lit.g) ? line(lit).filter(p => p[1] !== null) : [];
    const ys = [...sets.flatMap(s => s.mean.map(p => p.y)), ...extra.map(p => p[1])].sort((a, b) => a - b);
    // As printed: the first points, from an untrained model, would take most of a linear axis.
    const cut = kind === "validation" && !yLog ? ys.slice(Math.floor(ys.length / 10)) : ys;
    const sx = scale([...sets.flatMap(s => s.mean.map(p => p.x)), ...extra.map(p => p[0]), ...(xLog ? [] : [0])], xLog, left, right);
    const sy = scale(cut, yLog, bottom, top);
    const factor = kind === "validation" && data.validation.percent ? 100 : 1;
    const text = (x, y, anchor, words) => `<text class="m" text-anchor="${anchor}" x="${x}" y="${y}">${words}</text>`;
    let grid = "", free = -Infinity, body = "";
    for (const t of sy.ticks) grid += `<path class="gr" d="M${left} ${sy.at(t)}L${right} ${sy.at(t)}"/>${text(left - 7, sy.at(t) + 4, "end", short(t * factor))}`;
    for (const t of sx.ticks) {
      const at = sx.at(t), words = t >= 1e5 ? t.toExponential().replace("+", "") : short(t), half = 3.6 * words.length;
      grid += `<path class="gr" d="M${at} ${top}L${at} ${bottom}"/>`;
      if (at - half > free) { grid += text(at, bottom + 16, "middle", words); free = at + half + 6; }
    }
    grid += `<path class="ax" d="M${left} ${bottom}L${right} ${bottom}"/>`;
    grid += text(right, bottom + 34, "end", x) + text(12, top - 9, "start", values[kind] + (factor === 100 ? ", %" : ""));
    figure.near = [];
    const at = p => [sx.at(p[0]), sy.at(p[1] ?? NaN)];
    for (const { g, trials, mean } of sets) {
      const s = figure.entry.get(g) ?? 0, colour = s % 10, dash = ["", "7 3", "2 3"][Math.floor(s / 10) % 3];
      const band = path([...mean.map(p => at([p.x, p.low])), ...mean.map(p => at([p.x, p.high])).reverse()], "Z");
      body += `<g class="ser" data-s="${s}" data-g="${g}"><path class="bn f${colour}" d="${band}"/>`;
      for (const t of trials) {
        const points = line(t).map(at);
        if (trials.length <= 40) body += `<path class="sd s${colour}" d="${path(points)}"/>`;
        points.forEach(([px, py], i) => { if (Number.isFinite(px) && py >= top && py <= bottom) figure.near.push({ px, py, t, i, x }); });
      }
      body += `<path class="ln s${colour}" stroke-dasharray="${dash}" d="${path(mean.map(p => at([p.x, p.y])))}"/>`;
      const end = mean.length ? at([mean.at(-1).x, mean.at(-1).y]) : [];
      body += `${Number.isFinite(end[1]) && end[1] <= bottom ? figure.marks.get(s)?.(...end) ?? "" : ""}</g>`;
    }
    if (extra.length) body += `<path class="lit s${(figure.entry.get(lit.g) ?? 0) % 10}" d="${path(extra.map(at))}"/>`;
    const clip = one("clipPath", figure.svg), id = clip.id;
    figure.area.innerHTML = `${grid}${clip.outerHTML}<g clip-path="url(#${id})">${body}</g>`;
    figure.svg.dataset.drawn = `${x}${xLog ? " log" : ""}`;
  };

  // --- The table of trials.

  const table = one(".trials"), rows = table ? [...table.tBodies[0].rows] : [], order = [...rows];
  const input = one(".filter input"), count = one(".filter output");
  const filter = () => {
    if (!table) return;
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of order) {
      const text = words.length ? row.textContent.toLowerCase() : "", { g, p } = row.dataset;
      const fits = words.every(w => text.includes(w)) && !state.hidden.has(Number(g))
        && (!state.only || state.only.g === g && state.only.p === p);
      row.hidden = !fits;
      shown += fits;
    }
    const only = state.only ? `, one point of ${data.groups[state.only.g].label}` : "";
    count.textContent = `${shown} of ${order.length}${only}`;
    everything.hidden = !state.only && !state.hidden.size;
  };
  const everything = make("button", { type: "button", class: "small", hidden: "", onclick: () => { state.only = null; state.hidden.clear(); update(); } }, "show all");

  // --- Everything on the page that depends on the state.

  const update = () => {
    for (const figure of figures) {
      for (const { key, groups } of figure.keys) {
        const off = groups.length > 0 && groups.every(g => state.hidden.has(g));
        key.classList.toggle("off", off);
        if (groups.length) key.setAttribute("aria-pressed", String(!off));
      }
      if (figure.kind) { figure.stale = true; continue; }
      for (const part of all(".area [data-g], .area .ser", figure.svg)) {
        const groups = groupsOf(part);
        part.classList.toggle("off", groups.length > 0 && groups.every(g => state.hidden.has(g)));
      }
    }
    for (const row of all(".summary tr[data-g]")) row.classList.toggle("off", state.hidden.has(Number(row.dataset.g)));
    order.forEach((row, i) => row.setAttribute("aria-selected", String(i === state.lit)));
    for (const f of curves) {
      // One axis for all makes the printed pair of steps and epochs the same figure.
      f.node.hidden = state.x !== null && f.x !== "steps" && curves.some(o => o.x === "steps" && o.kind === f.kind);
    }
    redraw();
    filter();
    const { hidden, only, x, xLog, yLog } = state;
    history.replaceState({ hidden: [...hidden], only, x, xLog, yLog }, "");
  };
  // Figures out of sight are drawn when they come into sight.
  const inSight = ({ node }) => { const r = node.getBoundingClientRect(); return r.bottom > -200 && r.top < innerHeight + 200; };
  const redraw = (which = inSight) => {
    for (const f of curves) if (f.stale && !f.node.hidden && which(f)) { f.stale = false; draw(f); }
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

  const said = mark => mark.dataset.tip ?? one("title", mark)?.textContent;
  for (const figure of figures) {
    const { svg } = figure;
    for (const title of all(".area title", svg)) {
      title.parentNode.dataset.tip = title.textContent;
      title.parentNode.setAttribute("aria-label", title.textContent);
      title.remove();
    }
    const place = e => {
      const box = svg.getBoundingClientRect(), by = box.width / svg.viewBox.baseVal.width;
      return { box, by, x: (e.clientX - box.left) / by, y: (e.clientY - box.top) / by };
    };
    const nearest = e => {
      const { x, y } = place(e);
      let best = null, least = 14 ** 2;
      for (const n of figure.near) {
        const d = (n.px - x) ** 2 + (n.py - y) ** 2;
        if (d < least) [best, least] = [n, d];
      }
      return best;
    };
    const words = n => `${named(n.t)}: ${values[figure.kind]} ${written(figure.kind, n.t[figure.kind][n.i])} at ${short(along(n.t, n.x)[n.i])} ${n.x}`;
    svg.addEventListener("pointermove", e => {
      const mark = e.target.closest("[data-tip]"), n = figure.kind && nearest(e);
      tell(n ? words(n) : mark ? said(mark) : "", e.clientX, e.clientY);
      svg.style.cursor = n || mark?.dataset.p ? "pointer" : "";
    });
    svg.addEventListener("pointerleave", () => tell("", 0, 0));
    svg.addEventListener("click", e => {
      if (e.target.closest(".key")) return;
      const cell = e.target.closest("[data-p]"), n = figure.kind && nearest(e);
      if (cell) open(cell.closest("[data-g]").dataset.g, cell.dataset.p);
      else if (n) light(data.trials.indexOf(n.t));
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
      const marks = figure.kind ? figure.near : all(".area [data-tip]", svg).filter(m => !m.closest(".off"));
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
      if (step && marks.length) {
        e.preventDefault();
        at = (at + step + marks.length) % marks.length;
        const m = marks[at], { box, by } = place({ clientX: 0, clientY: 0 });
        if (figure.kind) return tell(words(m), box.left + m.px * by, box.top + m.py * by);
        const rect = m.getBoundingClientRect();
        tell(said(m), rect.right, rect.top);
      } else if (e.key === "Enter" && marks[at]) {
        const m = marks[at];
        if (figure.kind) light(data.trials.indexOf(m.t));
        else if (m.dataset.p) open(m.closest("[data-g]").dataset.g, m.dataset.p);
      } else if (e.key === "Escape") tell("", 0, 0);
    });
  }

  // --- Below each figure: save it, or read it as a table.

  const whole = figure => {
    const svg = figure.svg.cloneNode(true), { width, height } = figure.svg.viewBox.baseVal;
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.innerHTML = `<style>${one("#figures").textContent}.off{visibility:hidden}</style><rect class="bg" width="${width}" height="${height}"/>${svg.innerHTML}`;
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
    const rows = figure.kind
      ? data.trials.filter(t => t.reported && figure.groups.includes(t.g)).map(t => [named(t), written(figure.kind, t[figure.kind].findLast(y => y !== null) ?? null)])
      : all(".area [data-tip]", figure.svg).map(m => { const [name, ...rest] = said(m).split(": "); return [name, rest.join(": ")]; });
    const cells = row => make("tr", {}, make("th", { scope: "row" }, row[0]), make("td", {}, row[1]));
    return make("div", { class: "scroll tall numbers" }, make("table", { class: "plain" }, make("tbody", {}, ...rows.map(cells))));
  };
  for (const figure of figures) {
    const name = figure.svg.getAttribute("aria-label");
    const button = (text, label, click) => make("button", { type: "button", class: "small", "aria-label": `${label}: ${name}`, onclick: click }, text);
    const toggle = e => {
      const old = one(".numbers", figure.node);
      old ? old.remove() : figure.node.append(numbers(figure));
      e.currentTarget.setAttribute("aria-expanded", String(!old));
    };
    figure.node.append(make("div", { class: "tools" },
      button("SVG", "save as SVG", () => save(`${figure.node.id}.svg`, `data:image/svg+xml,${encodeURIComponent(whole(figure))}`)),
      button("PNG", "save as PNG", () => picture(figure)),
      ...(figure.kind || one(".area [data-tip]", figure.svg) ? [button("Table", "show as a table", toggle)] : [])));
  }

  // --- The axes of all curves.

  if (curves.length) {
    const choice = (words, options, set) => make("label", {}, `${words} `, make("select", { onchange: e => { set(e.target.value); update(); } },
      ...options.map(([value, text]) => make("option", { value }, text))));
    const scales = [["", "as printed"], ["linear", "linear"], ["log", "logarithmic"]];
    const log = value => value === "" ? null : value === "log";
    const thinned = data.every > 1 ? [make("span", {}, `Of ${data.every} points, one is drawn.`)] : [];
    curves[0].node.parentNode.before(make("div", { class: "axes" },
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

  // --- The table: sort, filter, light a trial's curve.

  if (!table) return;
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
