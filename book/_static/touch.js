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
  const signed = (value, digits) =>
    `${value > 0 ? "+" : value < 0 ? "−" : ""}${Number(Math.abs(value).toFixed(digits))}`;

  class Touch extends HTMLElement {
    connectedCallback() {
      if (this.data) return;
      this.data = JSON.parse(this.querySelector("script").textContent);
      this.name = `touch-${++serial}`;
      this.galaxy = 0;
      this.said = html("p", { class: "touch-said", role: "status" });
      this.build();
      this.append(this.said);
      this.takePlace();
      this.sheets = [this.data.sheet].flat().map((source) => put(new Image(), { src: source, alt: "" }));
      Promise.all(this.sheets.map((sheet) => sheet.decode())).then(() => this.show());
    }

    disconnectedCallback() {
      if (!this.moving) this.stop?.();
    }

    takePlace() {
      const figure = document.getElementById(this.dataset.figure);
      const still = figure?.querySelector("img");
      if (!still) return;
      this.moving = true;
      const room = this.parentElement;
      figure.insertBefore(this, figure.firstChild);
      this.moving = false;
      (still.closest("figure > *") ?? still).classList.add("touch-still");
      if (!room.textContent.trim() && !room.children.length) room.remove();
    }

    canvas(label) {
      const size = this.data.size;
      return html("canvas", { width: size, height: size, role: "img", "aria-label": label });
    }

    paint(canvas, row, column, sheet = 0, label = null) {
      const size = this.data.size;
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.drawImage(this.sheets[sheet], column * size, row * size, size, size, 0, 0, size, size);
      if (label) canvas.setAttribute("aria-label", label);
    }

    picture(title) {
      const canvas = this.canvas(title);
      const caption = html("span", { class: "touch-title", "aria-hidden": "true" }, title);
      return { canvas, caption, box: html("div", { class: "touch-picture" }, canvas, caption) };
    }

    picker(onchange) {
      const box = html("fieldset", { class: "touch-galaxies" }, html("legend", {}, "Galaxy"));
      this.thumbs = this.data.galaxies.map((galaxy, k) => {
        const canvas = html("canvas", { width: this.data.size, height: this.data.size, "aria-hidden": "true" });
        const radio = html("input", {
          type: "radio", name: `${this.name}-galaxy`, value: k, checked: k === 0,
          "aria-label": `Galaxy ${k + 1}, ${galaxy.told}`,
          onchange: () => { this.galaxy = k; onchange(); },
        });
        box.append(html("label", {}, radio, canvas, html("span", { "aria-hidden": "true" }, galaxy.short)));
        return canvas;
      });
      return box;
    }

    range(label, max, value, oninput) {
      const id = `${this.name}-${label.replaceAll(/\W+/g, "-")}`;
      const input = html("input", { type: "range", id, min: 0, max, step: 1, value, oninput });
      const shown = html("output", { class: "touch-value", for: id, "aria-hidden": "true" });
      const box = html("div", { class: "touch-range" }, html("label", { for: id }, label), input, shown);
      return { input, shown, box };
    }

    button(label, onclick) {
      return html("button", { type: "button", class: "touch-button", "aria-pressed": "false", onclick }, label);
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
      if (!this.clock && this.said.textContent !== text) this.said.textContent = text;
    }
  }

  // Any two layers of a galaxy, one over the other: swiped by a divider, or blinked.
  class Compare extends Touch {
    build() {
      this.cut = 50;
      this.below = html("canvas", { width: this.data.size, height: this.data.size, "aria-hidden": "true" });
      this.above = html("canvas", { width: this.data.size, height: this.data.size, "aria-hidden": "true", class: "touch-above" });
      this.stage = html("div", {
        class: "touch-stage", tabindex: 0, role: "slider", "aria-label": "Divider between the two pictures",
        "aria-valuemin": 0, "aria-valuemax": 100,
        onkeydown: (event) => this.key(event),
        onpointerdown: (event) => { this.stop(); this.stage.setPointerCapture(event.pointerId); this.drag(event); },
        onpointermove: (event) => { if (event.buttons) this.drag(event); },
      }, this.below, this.above, html("span", { class: "touch-line", "aria-hidden": "true" }));
      this.names = [0, 1].map((k) => html("span", { class: `touch-name touch-name-${k}`, "aria-hidden": "true" }));
      this.stage.append(...this.names);
      this.left = this.choice("Left picture", this.data.left);
      this.right = this.choice("Right picture", this.data.right);
      this.blink = this.button("Blink", () => this.toggle(this.blink, () => this.flip(), 700));
      this.strip = ["Source", "Translation", "Truth", "Residual, r, ±5 σ"].map((title) => this.picture(title));
      this.numbers = html("p", { class: "touch-numbers" });
      this.append(
        this.picker(() => this.show()),
        html("div", { class: "touch-row" }, this.stage,
          html("div", { class: "touch-side" }, this.left.box, this.right.box, this.blink,
            html("p", { class: "touch-hint" }, "Drag, or use the arrow keys on the picture; the space bar blinks."),
            this.numbers)),
        html("div", { class: "touch-strip" }, ...this.strip.map((one) => one.box)),
      );
    }

    choice(label, chosen) {
      const id = `${this.name}-${label.replaceAll(" ", "-")}`;
      const select = html("select", { id, onchange: () => this.show() });
      for (const group of [...new Set(this.data.layers.map((layer) => layer.group))]) {
        const options = html("optgroup", { label: group });
        this.data.layers.forEach((layer, k) => {
          if (layer.group === group) options.append(html("option", { value: k, selected: layer.key === chosen }, layer.label));
        });
        select.append(options);
      }
      return { select, box: html("div", { class: "touch-choice" }, html("label", { for: id }, label), select) };
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
      const galaxy = this.data.galaxies[this.galaxy];
      this.thumbs.forEach((canvas, k) => this.paint(canvas, k, this.column("truth")));
      const [a, b] = [this.layer(this.left), this.layer(this.right)];
      this.paint(this.above, this.galaxy, Number(this.left.select.value));
      this.paint(this.below, this.galaxy, Number(this.right.select.value));
      this.names[0].textContent = a.label;
      this.names[1].textContent = b.label;
      const model = b.of ?? a.of ?? this.data.layers.find((layer) => layer.of).of;
      const name = this.data.layers[this.column(model)].label;
      const about = galaxy.numbers[model];
      const columns = ["source", model, "truth", `residual ${model}`];
      const titles = ["Source", name, "Truth", "Residual, r, ±5 σ"];
      this.strip.forEach((one, k) => {
        this.paint(one.canvas, this.galaxy, this.column(columns[k]), 0, `${titles[k]} of galaxy ${this.galaxy + 1}`);
        one.caption.textContent = titles[k];
      });
      this.numbers.textContent = `${name}: residual ${about.chi} σ, light within 3″ off by ${about.light} %.`;
      this.say(`Galaxy ${this.galaxy + 1}, ${galaxy.told}. Left: ${a.label}. Right: ${b.label}.`);
      this.move(this.cut);
    }
  }

  // Every draw of the diffusion model for a galaxy, and where its light lies among the others.
  class Draws extends Touch {
    build() {
      this.draw = 0;
      this.count = this.data.count;
      this.slider = this.range("Draw", this.count - 1, 0, () => { this.stop(); this.draw = Number(this.slider.input.value); this.show(); });
      this.play = this.button("Play", () => this.toggle(this.play, () => {
        this.draw = (this.draw + 1) % this.count;
        this.slider.input.value = this.draw;
        this.show();
      }, 450));
      const spread = `Spread, r, to ${this.data.widest} σ`;
      const titles = ["This draw", "Draw − mean, r, ±5 σ", "Truth", "Source", "Mean of draws", spread];
      this.views = titles.map((title) => this.picture(title));
      this.plot = html("div", { class: "touch-plot" });
      this.append(
        this.picker(() => this.show()),
        html("div", { class: "touch-bar" }, this.slider.box, this.play),
        html("div", { class: "touch-strip touch-three" }, ...this.views.map((one) => one.box)),
        this.plot,
      );
    }

    show() {
      const galaxy = this.data.galaxies[this.galaxy];
      const first = 2 * this.count;
      this.thumbs.forEach((canvas, k) => this.paint(canvas, k, first));
      const columns = [this.draw, this.count + this.draw, first, first + 1, first + 2, first + 3];
      this.views.forEach((one, k) => this.paint(one.canvas, this.galaxy, columns[k], 0,
        `${one.caption.textContent} of galaxy ${this.galaxy + 1}`));
      const off = galaxy.light[this.draw];
      const words = `Draw ${this.draw + 1} of ${this.count}: light within 3″ off by ${signed(off, 2)} %`;
      this.slider.input.setAttribute("aria-valuetext", words);
      this.slider.shown.textContent = `${this.draw + 1} of ${this.count}`;
      this.plot.replaceChildren(this.dots(galaxy.light, words));
      this.say(`Galaxy ${this.galaxy + 1}, ${galaxy.told}. ${words}.`);
    }

    dots(values, words) {
      const reach = Math.max(this.data.reach, ...values.map(Math.abs)) * 1.1;
      const x = (value) => 180 + (160 * value) / reach;
      const graph = svg("svg", { viewBox: "0 0 360 84", role: "img", "aria-label": words });
      graph.append(svg("line", { x1: 20, x2: 340, y1: 34, y2: 34, class: "touch-axis" }));
      graph.append(svg("line", { x1: 180, x2: 180, y1: 14, y2: 54, class: "touch-truth" }));
      graph.append(svg("text", { x: 184, y: 12 }, "truth"));
      const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((s) => reach / s < 3) ?? 100;
      for (let k = -Math.floor(reach / step); k * step <= reach; k++) {
        graph.append(svg("text", { x: x(k * step), y: 64, "text-anchor": "middle" }, signed(k * step, 1)));
      }
      graph.append(svg("text", { x: 180, y: 80, "text-anchor": "middle" }, "r light within 3″, difference from the truth (%)"));
      values.forEach((value, k) => {
        if (k !== this.draw) graph.append(svg("circle", { cx: x(value), cy: 34, r: 5, class: "touch-dot" }));
      });
      graph.append(svg("circle", { cx: x(values[this.draw]), cy: 34, r: 8, class: "touch-dot touch-now" }));
      return graph;
    }
  }

  // One galaxy moved through redshift: its five bands, its colours, and the filters that see it.
  class Redshift extends Touch {
    build() {
      this.step = this.data.start;
      this.survey = 0;
      const last = this.data.redshifts.length - 1;
      this.slider = this.range("Redshift", last, this.step, () => { this.stop(); this.step = Number(this.slider.input.value); this.show(); });
      this.play = this.button("Play", () => this.toggle(this.play, () => {
        this.step = (this.step + 1) % (last + 1);
        this.slider.input.value = this.step;
        this.show();
      }, 350));
      const box = html("fieldset", { class: "touch-surveys" }, html("legend", {}, "Survey"));
      this.data.surveys.forEach((survey, k) => {
        const radio = html("input", {
          type: "radio", name: `${this.name}-survey`, value: k, checked: k === 0,
          onchange: () => { this.survey = k; this.show(); },
        });
        box.append(html("label", {}, radio, survey.name));
      });
      this.views = ["colour", ...this.data.bands].map((title) => this.picture(title));
      this.plot = html("div", { class: "touch-plot" });
      this.append(
        this.picker(() => this.show()), box,
        html("div", { class: "touch-bar" }, this.slider.box, this.play),
        html("div", { class: "touch-strip touch-six" }, ...this.views.map((one) => one.box)),
        this.plot,
      );
    }

    show() {
      const galaxy = this.data.galaxies[this.galaxy];
      const [count, z] = [this.data.redshifts.length, this.data.redshifts[this.step]];
      const row = (k, s, step) => (k * this.data.surveys.length + s) * count + step;
      this.thumbs.forEach((canvas, k) => this.paint(canvas, row(k, 0, this.data.start), 0));
      this.views.forEach((one, k) => {
        const label = k ? `${one.caption.textContent} band at redshift ${z}` : `Colour picture at redshift ${z}`;
        this.paint(one.canvas, row(this.galaxy, this.survey, this.step), k, 0, label);
      });
      const magnitudes = galaxy.magnitudes[this.survey][this.step];
      const parts = this.data.bands.map((band, k) => `${band} ${magnitudes[k].toFixed(1)}`);
      const words = `Redshift ${z.toFixed(2)}, magnitudes ${parts.join(", ")}`;
      this.slider.shown.textContent = `z = ${z.toFixed(2)}`;
      this.slider.input.setAttribute("aria-valuetext", words);
      this.plot.replaceChildren(this.spectrum(magnitudes, z, words));
      this.say(`Galaxy ${this.galaxy + 1}, ${galaxy.told}, by ${this.data.surveys[this.survey].name}. ${words}.`);
    }

    spectrum(magnitudes, z, words) {
      const x = (wavelength) => 34 + (316 * (wavelength - 3000)) / 8000;
      const y = (difference) => 60 + (100 * difference) / 4.5; // magnitudes fainter than r, downwards
      const graph = svg("svg", { viewBox: "0 0 360 208", role: "img", "aria-label": words });
      const survey = this.data.surveys[this.survey];
      survey.filters.forEach((curve, k) => {
        const points = curve.map(([w, t]) => `${x(w).toFixed(1)},${(176 - 42 * t).toFixed(1)}`);
        const closed = [`${x(curve[0][0])},176`, ...points, `${x(curve.at(-1)[0])},176`];
        graph.append(svg("polygon", { points: closed.join(" "), fill: this.data.colours[k], "fill-opacity": 0.25 }));
      });
      const feature = (rest, name, row) => {
        const at = x(rest * (1 + z));
        if (at > 350) return;
        graph.append(svg("line", { x1: at, x2: at, y1: 10, y2: 176, class: "touch-feature" }));
        graph.append(svg("text", { x: at + 3, y: row }, name));
      };
      feature(4000, "4000 Å break", 12);
      feature(6563, "Hα", 12);
      for (const tick of [-1, 0, 1, 2, 3]) {
        graph.append(svg("text", { x: 28, y: y(tick) + 3, "text-anchor": "end" }, signed(tick, 0)));
      }
      for (const wavelength of [4000, 6000, 8000, 10000]) {
        graph.append(svg("text", { x: x(wavelength), y: 188, "text-anchor": "middle" }, String(wavelength)));
      }
      graph.append(svg("text", { x: 192, y: 202, "text-anchor": "middle" }, "observed wavelength (Å)"));
      graph.append(svg("text", { x: 9, y: 94, "text-anchor": "middle", transform: "rotate(-90 9 94)" }, "magnitudes fainter than r"));
      const at = magnitudes.map((m, k) => [x(survey.pivots[k]), Math.min(y(m - magnitudes[2]), 172)]);
      graph.append(svg("polyline", { points: at.map((p) => p.join()).join(" "), class: "touch-sed" }));
      at.forEach(([cx, cy], k) => {
        graph.append(svg("circle", { cx, cy, r: 6, fill: this.data.colours[k], class: "touch-band" }));
        graph.append(svg("text", { x: cx, y: cy - 9, "text-anchor": "middle" }, this.data.bands[k]));
      });
      return graph;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    customElements.define("galaxy-compare", Compare);
    customElements.define("galaxy-draws", Draws);
    customElements.define("galaxy-redshift", Redshift);
  });
})();
