"use strict";
// Shows how far the study is, and loads the page anew when a trial has ended. What the reader has
// chosen stays.
(() => {
  const line = document.createElement("p");
  line.setAttribute("role", "status");
  line.className = "note";
  document.querySelector("h1").after(line);
  const ask = async () => {
    try {
      const state = await (await fetch("state", { cache: "no-store" })).json();
      line.textContent = state.text + (state.done < state.total ? "; this page follows" : "");
      if (state.done !== done) return location.reload();
    } catch {
      line.textContent = "The server has ended: this page no longer follows the study.";
    }
    setTimeout(ask, 2000);
  };
  ask();
})();
