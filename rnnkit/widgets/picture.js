// The picture of a panel: shows what Python drew, and tells Python of the page's background and of clicks.
function background(element) {
  for (let e = element; e; e = e.parentElement) {
    const parts = getComputedStyle(e).backgroundColor.match(/[\d.]+/g) || [];
    if (parts.length >= 3 && (parts.length < 4 || Number(parts[3]) > 0.5)) {
      return "#" + parts.slice(0, 3).map((p) => Math.round(Number(p)).toString(16).padStart(2, "0")).join("");
    }
  }
  return "#ffffff";
}

// Sliders are spoken as nothing but their number unless their handle has a name, and JupyterLab takes the arrow keys of lists for its own.
function mendKeys(panel) {
  for (const part of panel.querySelectorAll("select, button, input, [tabindex], [contenteditable]")) {
    part.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  for (const slider of panel.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label");
    for (const handle of slider.querySelectorAll(".noUi-handle")) handle.setAttribute("aria-label", label ? label.textContent : "");
  }
}

function render({ model, el }) {
  const image = document.createElement("img");
  const sentence = document.createElement("p");
  image.className = "rnnkit-image";
  sentence.className = "rnnkit-sentence";
  sentence.setAttribute("role", "status");
  const details = document.createElement("pre");
  details.className = "rnnkit-details";
  el.classList.add("rnnkit-picture");
  el.append(image, details, sentence);
  let shown = null;
  let drawn = 0;

  const draw = () => {
    const png = model.get("png");
    if (png && png.byteLength) {
      const last = shown;
      shown = URL.createObjectURL(new Blob([png], { type: "image/png" }));
      image.onload = () => {
        if (last) URL.revokeObjectURL(last);
        image.dataset.drawn = ++drawn;
      };
      image.src = shown;
    }
  };
  const say = () => {
    image.alt = model.get("sentence");
    sentence.textContent = model.get("sentence");
    details.textContent = model.get("details");
    details.hidden = !details.textContent;
  };
  const look = () => {
    if (!el.isConnected) return;
    model.set("background", background(el));
    model.save_changes();
    const panel = el.closest(".rnnkit-panel");
    if (panel) mendKeys(panel);
  };
  image.addEventListener("click", (event) => {
    const box = image.getBoundingClientRect();
    model.send({ click: [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height] });
  });
  // a theme's colours arrive some time after the page says that it has changed
  let waiting = [];
  const soon = () => {
    waiting.forEach(clearTimeout);
    waiting = [0, 150, 600, 2000].map((ms) => setTimeout(look, ms));
  };
  const watch = new MutationObserver(soon);
  for (const e of [document.documentElement, document.body]) watch.observe(e, { attributes: true });
  model.on("change:png", draw);
  model.on("change:sentence change:details", say);
  draw();
  say();
  soon();
  return () => {
    waiting.forEach(clearTimeout);
    watch.disconnect();
    if (shown) URL.revokeObjectURL(shown);
  };
}

export default { render };
