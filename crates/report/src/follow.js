"use strict";
// Shows how far the study is and which trials run, and loads the page anew when trials have ended.
// What the reader has chosen stays.
(() => {
  const line = document.createElement("p");
  line.setAttribute("role", "status");
  line.className = "note";
  document.querySelector("h1").after(line);
  // A page that loads itself anew all the time cannot be read.
  const due = state => state.done === state.total || performance.now() > 8000 || !document.querySelector("section:not(#running) figure");
  const ask = async () => {
    try {
      const state = await (await fetch("state", { cache: "no-store" })).json();
      line.textContent = state.text + (state.done < state.total ? "; this page follows" : "");
      if (state.done !== done && due(state)) return location.reload();
      dispatchEvent(new CustomEvent("running", { detail: state.running }));
    } catch {
      line.textContent = "The server has ended: this page no longer follows the study.";
    }
    setTimeout(ask, 2000);
  };
  ask();
})();
