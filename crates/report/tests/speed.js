// Measures how long the page takes to answer, and writes it into the page: a line for each action. The
// layout is computed each time; painting is not measured.
(() => {
  const one = selector => document.querySelector(selector);
  const lines = [];
  const time = (what, act) => {
    const times = [1, 2, 3, 4, 5].map(() => {
      const begin = performance.now();
      act();
      document.body.getBoundingClientRect();
      return performance.now() - begin;
    });
    // The median: other programs may take a time slice.
    lines.push(`${what}: ${times.sort((a, b) => a - b)[2].toFixed(1)} ms`);
  };
  const click = node => node.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  const choose = (select, value) => { select.value = value; select.dispatchEvent(new Event("change")); };
  const curve = one("figure svg[data-kind^=loss]"), row = one(".trials tbody tr");
  curve.scrollIntoView({ behavior: "instant" });
  lines.push(`opened after ${performance.now().toFixed(0)} ms`);
  time("a click on a legend", () => click(curve.querySelector(".key[role=button]")));
  time("another axis", () => choose(one(".axes select"), one(".axes select").value === "seconds" ? "epochs" : "seconds"));
  time("a click on a row", () => click(row));
  time("a filter", () => { const input = one(".filter input"); input.value = input.value ? "" : "lars confirm"; input.dispatchEvent(new Event("input")); });
  time("a sorted column", () => click(one(".trials thead th:nth-child(6) button")));
  time("a pointer on a curve", () => curve.dispatchEvent(new PointerEvent("pointermove", { clientX: 300, clientY: 300, bubbles: true })));
  time("a linear axis", () => click([...document.querySelectorAll(".tools button")].find(b => /linear|logarithmic/.test(b.textContent))));
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = lines.join("\n");
  document.body.append(result);
})();
