"""Draws docs/answers.gif: the page of a report while somebody uses it.

    largebatch study run gap
    python crates/report/examples/answers.py studies/gap/report/index.html docs/answers.gif

It needs Chromium and Pillow. Each frame is the page after some clicks.
"""

import pathlib
import subprocess
import sys
import tempfile

from PIL import Image

# What all frames share: the section of the curves and the table of trials, and helpers.
BEGIN = """
const one = (s, of = document) => of.querySelector(s), all = (s, of = document) => [...of.querySelectorAll(s)];
const click = node => node.dispatchEvent(new MouseEvent("click", { bubbles: true }));
const point = (node, x, y) => node.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
const curve = one("figure svg[data-kind='loss steps'], figure svg[data-kind='loss steps log']");
for (const part of all("header, aside, .fine, footer, main > section")) part.hidden = part !== curve.closest("section") && part.id !== "trials";
for (const figure of all("figure").filter(f => f.closest("section") === curve.closest("section")).slice(4)) figure.remove();
one("main").style.paddingTop = "10px";
for (const note of all("figcaption, .note")) note.remove();
one(".trials").closest(".tall").style.maxHeight = "170px";
document.documentElement.style.overflow = "hidden";
const keys = all(".key[role=button]", curve);
const say = (select, value) => { select.value = value; select.dispatchEvent(new Event("change")); };
const row = all(".trials tbody tr").find(r => r.textContent.includes("lamb") && r.textContent.includes("confirm"));
"""

LAST = """
const mark = one(".lit", curve), place = mark.getPointAtLength(mark.getTotalLength() * 0.6).matrixTransform(mark.getScreenCTM());
point(curve, place.x, place.y);
"""

HIDE = "keys.slice(3, 5).forEach(click);"
AXES = 'say(all(".axes select")[0], "seconds");'
FRAMES = [
    ("", 1800),
    (HIDE, 1800),
    (HIDE + AXES, 1800),
    (HIDE + AXES + "click(row);", 1500),
    (HIDE + AXES + "click(row);" + LAST, 3000),
]
WIDTH, HEIGHT = 1180, 900


def frame(page: str, script: str, folder: pathlib.Path) -> Image.Image:
    file, picture = folder / "page.html", folder / "frame.png"
    script = f"<script>{{{BEGIN}{script}}}</script></body>"
    file.write_text(page.replace("</body>", script))
    chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    size = f"--window-size={WIDTH},{HEIGHT}"
    out = [f"--screenshot={picture}", "--virtual-time-budget=2000", file.as_uri()]
    subprocess.run([*chromium, size, *out], check=True, stderr=subprocess.DEVNULL)
    return Image.open(picture).convert("RGB")


def main() -> None:
    page, out = pathlib.Path(sys.argv[1]).read_text(), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        pictures = [frame(page, script, pathlib.Path(folder)) for script, _ in FRAMES]
    pictures = [p.quantize(96, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) for p in pictures]
    times = [time for _, time in FRAMES]
    pictures[0].save(out, save_all=True, append_images=pictures[1:], duration=times, loop=0, optimize=True)


main()
