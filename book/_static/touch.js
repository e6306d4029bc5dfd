// Three plain web components, each with its data inside: <galaxy-compare>, <galaxy-draws> and
// <galaxy-redshift>. All controls are native inputs, so that keyboard and screen reader work as
// everywhere; what changes is said in a live region. The component takes the place of the picture
// of the figure it names; in print that picture is shown again. Nothing is loaded from anywhere.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let serial = 0;

  function put(node, attributes, ...children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  }
  const html = (tag, attributes = {}, ...children) =>
    put(document.createElement(tag), attributes, ...children);
  const svg = (tag, attributes = {}, ...children) =>
    put(document.createElementNS(SVG, tag), attributes, ...children);
  const middle = (x, y, text, more = {}) => svg("text", { x, y, "text-anchor": "middle", ...more }, text);
  const line = (x1, x2, y1, y2, name) => svg("line", { x1, x2, y1, y2, class: name });
  const signed = (value, digits) =>
    `${value > 0 ? "+" : value < 0 ? "−" : ""}${Number(Math.abs(value).toFixed(digits))}`;

  class Touch extends HTMLElement {
    connectedCallback() {
      if (this.data) return;
      this.data = JSON.parse(this.querySelector("script").textContent);
      this.name = `touch-${++serial}`;
      this.galaxy = 0;
      this.step = 0;
      this.classList.add("touch");
      this.said = html("p", { class: "touch-said", role: "status" });
      this.build();
      this.append(this.said);
      this.takePlace();
      this.sheet = put(new Image(), { src: this.data.sheet, alt: "" });
      this.sheet.decode().then(() => this.show());
    }

    disconnectedCallback() {
      if (!this.moving) this.stop();
    }

    takePlace() {
      const figure = document.getElementById(this.dataset.figure);
      const still = figure?.querySelector("img");
      if (!still) return;
      const room = this.parentElement;
      this.moving = true;
      figure.insertBefore(this, figure.firstChild);
      this.moving = false;
      (still.closest("figure > *") ?? still).classList.add("touch-still");
      if (!room.textContent.trim() && !room.children.length) room.remove();
    }

    // A picture of the sheet's size; without a title it is not read out.
    canvas(title, name = null) {
      const about = title ? { role: "img", "aria-label": title } : { "aria-hidden": "true" };
      return html("canvas", { width: this.data.size, height: this.data.size, class: name, ...about });
    }

    paint(canvas, row, column, label = null) {
      const size = this.data.size;
      canvas.getContext("2d").drawImage(this.sheet, column * size, row * size, size, size, 0, 0, size, size);
      if (label) canvas.setAttribute("aria-label", label);
    }

    // A strip of pictures with their titles below.
    strip(titles, name) {
      this.views = titles.map((title) => {
        const caption = html("span", { "aria-hidden": "true" }, title);
        const canvas = this.canvas(title);
        return { canvas, caption, box: html("div", {}, canvas, caption) };
      });
      return html("div", { class: `touch-strip ${name}` }, ...this.views.map((view) => view.box));
    }

    // One of several things: `items` are [what stands on the label, its full name].
    radios(legend, name, items, onchange) {
      const box = html("fieldset", { class: name }, html("legend", {}, legend));
      items.forEach(([shown, told], k) => {
        const about = { type: "radio", name: `${this.name}-${legend}`, value: k, checked: k === 0 };
        const radio = html("input", { ...about, "aria-label": told, onchange: () => onchange(k) });
        box.append(html("label", {}, radio, ...shown));
      });
      return box;
    }

    picker() {
      this.thumbs = this.data.galaxies.map(() => this.canvas());
      const items = this.data.galaxies.map((galaxy, k) => [
        [this.thumbs[k], html("span", { "aria-hidden": "true" }, galaxy.short)], `Galaxy ${k + 1}, ${galaxy.description}`,
      ]);
      return this.radios("Galaxy", "touch-galaxies", items, (k) => { this.galaxy = k; this.show(); });
    }

    button(label, onclick) {
      return html("button", { type: "button", "aria-pressed": "false", onclick }, label);
    }

    // A slider over the steps, and a button that goes through them.
    player(label, count, pause) {
      const go = (step) => { this.step = this.slider.value = step; this.show(); };
      const id = `${this.name}-step`;
      this.slider = html("input", {
        type: "range", id, min: 0, max: count - 1, value: this.step,
        oninput: () => { this.stop(); go(Number(this.slider.value)); },
      });
      this.shown = html("output", { for: id, "aria-hidden": "true" });
      const play = this.button("Play", () => this.toggle(play, () => go((this.step + 1) % count), pause));
      const range = html("div", { class: "touch-range" }, html("label", { for: id }, label), this.slider, this.shown);
      return html("div", { class: "touch-bar" }, range, play);
    }

    // Start or stop something that goes on by itself; who asked for calm gets one step at a time.
    toggle(button, step, pause) {
      if (calm.matches) return step();
      if (this.clock) return this.stop();
      button.setAttribute("aria-pressed", "true");
      this.playing = button;
      this.clock = setInterval(step, pause);
      step();
    }

    stop() {
      clearInterval(this.clock);
      this.clock = null;
      this.playing?.setAttribute("aria-pressed", "false");
    }

    say(text) {
      const galaxy = this.data.galaxies[this.galaxy];
      const words = `Galaxy ${this.galaxy + 1}, ${galaxy.description}${text}`;
      if (!this.clock && this.said.textContent !== words) this.said.textContent = words;
    }
  }

  // Any two layers of a galaxy, one over the other: swiped by a divider, or blinked.
  class Compare extends Touch {
    build() {
      this.cut = 50;
      this.below = this.canvas();
      this.above = this.canvas("", "touch-above");
      this.names = [0, 1].map(() => html("span", { class: "touch-name", "aria-hidden": "true" }));
      this.stage = html("div", {
        class: "touch-stage", tabindex: 0, role: "slider", "aria-label": "Divider between the two pictures",
        "aria-valuemin": 0, "aria-valuemax": 100,
        onkeydown: (event) => this.key(event),
        onpointerdown: (event) => { this.stop(); this.stage.setPointerCapture(event.pointerId); this.drag(event); },
        onpointermove: (event) => { if (event.buttons) this.drag(event); },
      }, this.below, this.above, html("span", { class: "touch-line", "aria-hidden": "true" }), ...this.names);
      this.left = this.choice("Left picture", this.data.left);
      this.right = this.choice("Right picture", this.data.right);
      const blink = this.button("Blink", () => this.toggle(blink, () => this.flip(), 700));
      this.numbers = html("p", { class: "touch-numbers" });
      const hint = html("p", {}, "Drag, or use the arrow keys on the picture; the space bar blinks.");
      const controls = [this.left.box, this.right.box, blink, hint, this.numbers];
      this.append(
        this.picker(),
        html("div", { class: "touch-row" }, this.stage, html("div", { class: "touch-side" }, ...controls)),
        this.strip(["Source", "Translation", "Truth", "Residual, r, ±5 σ"], "touch-four"),
      );
    }

    choice(label, chosen) {
      const id = `${this.name}-${label.replaceAll(" ", "-")}`;
      const select = html("select", { id, onchange: () => this.show() });
      for (const group of new Set(this.data.layers.map((layer) => layer.group))) {
        const options = html("optgroup", { label: group });
        this.data.layers.forEach((layer, k) => {
          if (layer.group === group) options.append(html("option", { value: k, selected: layer.key === chosen }, layer.label));
        });
        select.append(options);
      }
      return { select, box: html("div", {}, html("label", { for: id }, label), select) };
    }

    key(event) {
      const steps = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -20, PageUp: 20, Home: -100, End: 100 };
      if (event.key === " ") this.flip();
      else if (event.key in steps) { this.stop(); this.move(this.cut + steps[event.key]); }
      else return;
      event.preventDefault();
    }

    drag(event) {
      const box = this.stage.getBoundingClientRect();
      this.move((100 * (event.clientX - box.left)) / box.width);
    }

    move(cut) {
      this.cut = Math.round(Math.min(100, Math.max(0, cut)));
      this.stage.style.setProperty("--cut", `${this.cut}%`);
      const [a, b] = [this.layer(this.left).label, this.layer(this.right).label];
      const seen = this.cut === 100 ? `all ${a}` : this.cut === 0 ? `all ${b}` : `${this.cut} % ${a}, rest ${b}`;
      this.stage.setAttribute("aria-valuenow", this.cut);
      this.stage.setAttribute("aria-valuetext", seen);
      this.names[0].hidden = this.cut < 20;
      this.names[1].hidden = this.cut > 80;
    }

    flip() { this.move(this.cut > 50 ? 0 : 100); }

    layer(side) { return this.data.layers[side.select.value]; }

    column(key) { return this.data.layers.findIndex((layer) => layer.key === key); }

    show() {
      this.thumbs.forEach((canvas, k) => this.paint(canvas, k, this.column("truth")));
      const [a, b] = [this.layer(this.left), this.layer(this.right)];
      this.paint(this.above, this.galaxy, Number(this.left.select.value));
      this.paint(this.below, this.galaxy, Number(this.right.select.value));
      this.names[0].textContent = a.label;
      this.names[1].textContent = b.label;
      const model = b.of ?? a.of ?? this.data.layers.find((layer) => layer.of).of;
      const name = this.data.layers[this.column(model)].label;
      const about = this.data.galaxies[this.galaxy].numbers[model];
      this.views[1].caption.textContent = name;
      ["source", model, "truth", `residual ${model}`].forEach((key, k) => {
        const { canvas, caption } = this.views[k];
        this.paint(canvas, this.galaxy, this.column(key), `${caption.textContent} of galaxy ${this.galaxy + 1}`);
      });
      this.numbers.textContent = `${name}: residual ${about.chi} σ, flux within 3″ off by ${about.flux} %.`;
      this.say(`. Left: ${a.label}. Right: ${b.label}.`);
      this.move(this.cut);
    }
  }

  // Every sample of the diffusion model for a galaxy, and its flux among those of the others.
  class Draws extends Touch {
    build() {
      const spread = `Scatter, r, to ${this.data.widest} σ`;
      const titles = ["This sample", "Sample − mean, r, ±5 σ", "Truth", "Source", "Mean of samples", spread];
      this.plot = html("div");
      this.append(this.picker(), this.player("Sample", this.data.count, 450), this.strip(titles, ""), this.plot);
    }

    show() {
      const [errors, count] = [this.data.galaxies[this.galaxy].flux_errors, this.data.count];
      this.thumbs.forEach((canvas, k) => this.paint(canvas, k, 2 * count));
      const columns = [this.step, count + this.step, ...[0, 1, 2, 3].map((k) => 2 * count + k)];
      this.views.forEach(({ canvas, caption }, k) =>
        this.paint(canvas, this.galaxy, columns[k], `${caption.textContent} of galaxy ${this.galaxy + 1}`));
      const words = `Sample ${this.step + 1} of ${count}: flux within 3″ off by ${signed(errors[this.step], 2)} %`;
      this.slider.setAttribute("aria-valuetext", words);
      this.shown.textContent = `${this.step + 1} of ${count}`;
      this.plot.replaceChildren(this.dots(errors, words));
      this.say(`. ${words}.`);
    }

    dots(values, words) {
      const reach = Math.max(this.data.reach, ...values.map(Math.abs)) * 1.1;
      const x = (value) => 180 + (160 * value) / reach;
      const graph = svg("svg", { viewBox: "0 0 360 84", role: "img", "aria-label": words },
        line(20, 340, 34, 34, "touch-axis"), line(180, 180, 14, 54, "touch-truth"), middle(196, 12, "truth"),
        middle(180, 80, "r flux within 3″ minus truth (%)"));
      const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((s) => reach / s < 3) ?? 100;
      for (let k = -Math.floor(reach / step); k * step <= reach; k++) graph.append(middle(x(k * step), 64, signed(k * step, 1)));
      values.forEach((value, k) => graph.append(svg("circle", { cx: x(value), cy: 34, r: 5, class: "touch-dot" })));
      graph.append(svg("circle", { cx: x(values[this.step]), cy: 34, r: 8, class: "touch-dot touch-now" }));
      return graph;
    }
  }

  // One galaxy moved through redshift: its five bands, its colours, and the filters that see it.
  class Redshift extends Touch {
    build() {
      this.step = this.data.start;
      this.survey = 0;
      this.plot = html("div");
      const surveys = this.data.surveys.map((survey) => [[survey.name], survey.name]);
      this.append(
        this.picker(),
        this.radios("Survey", "", surveys, (k) => { this.survey = k; this.show(); }),
        this.player("Redshift", this.data.redshifts.length, 350),
        this.strip(["colour", ...this.data.bands], "touch-six"),
        this.plot,
      );
    }

    show() {
      const [count, z] = [this.data.redshifts.length, this.data.redshifts[this.step]];
      const row = (k, s, step) => (k * this.data.surveys.length + s) * count + step;
      this.thumbs.forEach((canvas, k) => this.paint(canvas, row(k, 0, this.data.start), 0));
      this.views.forEach(({ canvas, caption }, k) => {
        const label = k ? `${caption.textContent} band at redshift ${z}` : `Colour picture at redshift ${z}`;
        this.paint(canvas, row(this.galaxy, this.survey, this.step), k, label);
      });
      const magnitudes = this.data.galaxies[this.galaxy].magnitudes[this.survey][this.step];
      const parts = this.data.bands.map((band, k) => `${band} ${magnitudes[k].toFixed(1)}`);
      const words = `Redshift ${z.toFixed(2)}, magnitudes ${parts.join(", ")}`;
      this.shown.textContent = `z = ${z.toFixed(2)}`;
      this.slider.setAttribute("aria-valuetext", words);
      this.plot.replaceChildren(this.spectrum(magnitudes, z, words));
      this.say(`, by ${this.data.surveys[this.survey].name}. ${words}.`);
    }

    spectrum(magnitudes, z, words) {
      const x = (wavelength) => 34 + (316 * (wavelength - 3000)) / 8000;
      const y = (difference) => 60 + (100 * difference) / 4.5; // magnitudes fainter than r, downwards
      const graph = svg("svg", { viewBox: "0 0 360 208", role: "img", "aria-label": words },
        middle(192, 202, "observed wavelength (Å)"),
        middle(9, 94, "magnitudes fainter than r", { transform: "rotate(-90 9 94)" }));
      const survey = this.data.surveys[this.survey];
      survey.filters.forEach((curve, k) => {
        const points = curve.map(([w, t]) => `${x(w).toFixed(1)},${(176 - 42 * t).toFixed(1)}`);
        const closed = [`${x(curve[0][0])},176`, ...points, `${x(curve.at(-1)[0])},176`];
        graph.append(svg("polygon", { points: closed.join(" "), fill: this.data.colours[k], "fill-opacity": 0.25 }));
      });
      for (const [rest, name] of [[4000, "4000 Å break"], [6563, "Hα"]]) {
        const at = x(rest * (1 + z));
        if (at <= 350) graph.append(line(at, at, 10, 176, "touch-feature"), svg("text", { x: at + 3, y: 12 }, name));
      }
      for (const tick of [-1, 0, 1, 2, 3]) graph.append(middle(22, y(tick) + 3, signed(tick, 0)));
      for (const wavelength of [4000, 6000, 8000, 10000]) graph.append(middle(x(wavelength), 188, String(wavelength)));
      const at = magnitudes.map((m, k) => [x(survey.pivots[k]), Math.min(y(m - magnitudes[2]), 172)]);
      graph.append(svg("polyline", { points: at.map((p) => p.join()).join(" "), class: "touch-axis" }));
      at.forEach(([cx, cy], k) => graph.append(
        svg("circle", { cx, cy, r: 6, fill: this.data.colours[k], stroke: "#fff" }), middle(cx, cy - 9, this.data.bands[k])));
      return graph;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    customElements.define("galaxy-compare", Compare);
    customElements.define("galaxy-draws", Draws);
    customElements.define("galaxy-redshift", Redshift);
  });
})();
