// Uses the page of the study `gap` as a reader does, and writes what went wrong into the page.
(async () => {
  const wrong = [];
  const check = (what, fits) => { if (!fits) wrong.push(what); };
  const one = (selector, of = document) => of.querySelector(selector);
  const all = (selector, of = document) => [...of.querySelectorAll(selector)];
  const wait = () => new Promise(done => setTimeout(done, 150));
  const tip = () => one("#tip").textContent;
  const press = (node, key) => node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const at = (type, node, x, y) => node.dispatchEvent(new PointerEvent(type, { clientX: x, clientY: y, bubbles: true }));
  const middle = node => { const r = node.getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; };
  const shown = () => Number(one(".filter output").textContent.split(" ")[0]);
  try {
    await wait();
    const rows = all(".trials tbody tr"), curve = one("section:not(#running) svg[data-kind^=loss]");
    check("the filter counts all rows", shown() === rows.length);

    // A mark under the pointer, and by the arrow keys.
    const figure = one("#accuracy-arms svg, #accuracy-batch svg"), mark = one("path.mk[data-tip]", figure);
    at("pointermove", mark, ...middle(mark));
    check(`a mark says its group, rate and value: ${tip()}`, /%.*n = .*rate/.test(tip()));
    at("pointerleave", figure, 0, 0);
    check("the tooltip goes", tip() === "");
    press(figure, "ArrowRight");
    check("an arrow key reaches a mark", tip() !== "");

    // A click on a legend hides the arm in every figure and in the table.
    curve.scrollIntoView({ behavior: "instant" });
    await wait();
    const key = all(".key[role=button]", curve)[0], group = one(".area [data-g]", curve).dataset.g;
    const own = rows.filter(r => r.dataset.g === group).length;
    key.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await wait();
    const others = all(`.area [data-g="${group}"]`);
    check("its marks are hidden everywhere", others.length > 0 && others.every(e => getComputedStyle(e).visibility === "hidden"));
    check("its curve is gone", !one(`.area [data-g="${group}"]`, curve));
    check("its rows are gone", own > 0 && shown() === rows.length - own);
    check("a screen reader hears it", key.getAttribute("aria-pressed") === "false");
    press(key, "Enter");
    await wait();
    check("Enter shows it again", shown() === rows.length && one(`.area [data-g="${group}"]`, curve));

    // A row lights its curve, and a curve its row.
    const row = rows.find(r => r.dataset.g === group && !r.dataset.p);
    row.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await wait();
    check("a row lights its curve", one("path.lit", curve) && row.ariaSelected === "true");
    press(row, "Enter");
    await wait();
    check("and Enter puts it out", !one("path.lit", curve) && row.ariaSelected === "false");
    const line = one("path.sd", curve), p = line.getPointAtLength(line.getTotalLength() / 2).matrixTransform(line.getScreenCTM());
    at("pointermove", curve, p.x, p.y);
    check(`a curve says its trial: ${tip()}`, /seed \d+.*: training loss .* steps/.test(tip()));
    curve.dispatchEvent(new MouseEvent("click", { clientX: p.x, clientY: p.y, bubbles: true }));
    await wait();
    const lit = all(".trials tr[aria-selected=true]");
    check("a curve lights its row", lit.length === 1 && one("path.lit", curve));

    // The axes.
    const [x, xScale, yScale] = all(".axes select");
    for (const [select, value] of [[x, "seconds"], [xScale, "log"], [yScale, "linear"]]) {
      select.value = value;
      select.dispatchEvent(new Event("change"));
    }
    await wait();
    check("the curves are over seconds", curve.dataset.drawn === "seconds log" && one(".tt", curve).textContent.includes("in seconds"));
    for (const unit of ["examples", "epochs", "steps"]) {
      x.value = unit;
      x.dispatchEvent(new Event("change"));
      await wait();
      check(`the curves are over ${unit}`, curve.dataset.drawn === `${unit} log` && all("path.ln", curve).every(p => !/NaN|Infinity/.test(p.outerHTML)));
    }

    // A cell of a heat map opens its trials.
    const cell = one("rect[data-p]");
    cell.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await wait();
    const open = rows.filter(r => !r.hidden);
    check("a cell opens its trials", open.length > 0 && open.length < 10 && open.every(r => r.dataset.p === cell.dataset.p));
    all(".filter button")[0].click();
    check("all are shown again", shown() === rows.length);

    // A logarithmic axis of another figure becomes linear, and is printed again.
    const rates = one("#good-rates svg"), flat = all(".tools button", rates.closest("figure")).find(b => b.textContent === "learning rate: linear");
    {
      const place = () => all("path.mk", rates).map(m => m.getBoundingClientRect().left);
      const printed = place();
      flat.click();
      const linear = place();
      check("marks move along a linear axis", linear.some((x, i) => Math.abs(x - printed[i]) > 5) && !/NaN/.test(one(".area", rates).innerHTML));
      check("and have linear ticks", one(".xa", rates).textContent.startsWith("0") && flat.textContent === "learning rate: logarithmic");
      flat.click();
      check("and go back", place().every((x, i) => x === printed[i]));
    }

    // Running trials, of which a server tells.
    const running = { g: Number(group), p: null, stage: "confirm", seed: 77, rate: 0.1, seconds: 12, share: 0.25, axis: { steps: [10, 20], examples: [160, 320], epochs: [0.1, 0.2] }, loss: [2, 1.5], validation: [null, 0.5] };
    dispatchEvent(new CustomEvent("running", { detail: [running] }));
    await wait();
    const now = one("#running"), live = one("#running-loss svg");
    const among = one(`.area [data-g="${group}"] path.now`, curve);
    live.scrollIntoView({ behavior: "instant" });
    await wait();
    check("running trials have a row", !now.hidden && /confirm.*0.1.*77.* 25 %.*12 s.*1.5/.test(one("tbody", now).textContent));
    check("and a curve of their own", one("path.now", live) && one("circle.h", live));
    check("also among the others", among);
    const tick = one("circle.h", live);
    at("pointermove", live, ...middle(tick));
    check(`which says that it runs: ${tip()}`, /seed 77, running: training loss 1.5 at 20 steps/.test(tip()));
    dispatchEvent(new CustomEvent("running", { detail: [] }));
    await wait();
    curve.scrollIntoView({ behavior: "instant" });
    dispatchEvent(new Event("scroll")); // not always sent without a window
    await wait();
    check("ended trials are gone", now.hidden && !one("path.now", curve));

    // Saving, and the table.
    const saved = {};
    HTMLAnchorElement.prototype.click = function () { saved[this.download] = this.href; };
    const [svg, png, numbers] = all(".tools button", curve.closest("figure")), name = curve.closest("figure").id;
    svg.click();
    png.click();
    for (let i = 0; i < 20 && !saved[`${name}.png`]; i++) await wait();
    const text = decodeURIComponent(saved[`${name}.svg`] || "");
    const picture = new DOMParser().parseFromString(text.replace(/^[^,]*,/, ""), "image/svg+xml");
    check("a figure is saved as SVG", one("path.ln", picture) && !one("parsererror", picture));
    check("and as PNG", (saved[`${name}.png`] || "").startsWith("data:image/png;base64,"));
    numbers.click();
    check("a figure has a table", all(".numbers tr", curve.closest("figure")).length > 1 && numbers.ariaExpanded === "true");

    // Terms.
    const term = one(".summary th[data-tip]");
    term.focus();
    check("a head is explained", tip().startsWith(term.textContent));
  } catch (e) {
    wrong.push(e.stack);
  }
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = wrong.join("\n") || "fine";
  document.body.append(result);
})();
