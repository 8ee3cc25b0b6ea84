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
    speak(slider);
  }
}

// A slider's handle has the name of its label, which may change, and says what its readout shows: over chosen values it would be spoken as the
// place of a value among them.
function speak(slider) {
  const label = slider.querySelector(".widget-label");
  const readout = slider.querySelector(".widget-readout");
  if (!readout || slider.dataset.spoken) return;
  slider.dataset.spoken = "yes";
  const say = () => {
    for (const handle of slider.querySelectorAll(".noUi-handle")) {
      handle.setAttribute("aria-label", label ? label.textContent : "");
      if (handle.getAttribute("aria-valuetext") !== readout.textContent) handle.setAttribute("aria-valuetext", readout.textContent);
    }
  };
  new MutationObserver(say).observe(slider, { subtree: true, childList: true, characterData: true, attributeFilter: ["aria-valuetext"] });
  say();
}

// JupyterLab saves the pictures of widgets only if it is asked to; else a notebook that is opened again says "model not found" in their places.
function keepWhenSaved(model) {
  const settings = model.widget_manager && model.widget_manager._settings;
  if (settings && settings.saveState === false) settings.saveState = true;
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
  const still = document.createElement("p");
  still.className = "rnnkit-still";
  still.textContent = "A still picture, as it was saved: run this cell to move it.";
  still.hidden = true;
  el.append(image, details, sentence, still);
  keepWhenSaved(model);
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
  // a picture that nobody answers for is a still: it was saved, and its program is gone
  const nobody = setTimeout(() => { still.hidden = false; }, 5000);
  model.on("msg:custom", (message) => {
    if (message && message.here) {
      clearTimeout(nobody);
      still.hidden = true;
    }
  });
  try {
    model.send({ here: true });
  } catch {
    still.hidden = false;
  }
  model.on("change:png", draw);
  model.on("change:sentence change:details", say);
  draw();
  say();
  soon();
  return () => {
    waiting.forEach(clearTimeout);
    clearTimeout(nobody);
    watch.disconnect();
    if (shown) URL.revokeObjectURL(shown);
  };
}

export default { render };
