// The page: choose or drop files, translate, show. Files are read here and go nowhere.
(() => {
  const { bytes, readWeights, readStamps, writeFits, translate, card } = window.galaxyTranslator;
  const facts = window.galaxyData;
  const LIMIT = 5; // of the maps, in units of the noise
  const BORDER = 4; // pixels
  const tool = document.getElementById("galaxy-translator");
  const find = (name) => tool.querySelector(`[data-part=${name}]`);
  const canvases = [...tool.querySelectorAll("canvas")];
  let network = null;
  let stamps = null; // galaxies of the files that were chosen last
  let shown = null;
  let latest = 0; // number of the last request: what an earlier one finds is not shown

  const floats = (base64) => Float64Array.from(new Float32Array(bytes(base64).buffer));
  const planesOf = (values, size) => Array.from({ length: values.length / size ** 2 }, (_, k) => values.slice(k * size ** 2, (k + 1) * size ** 2));
  const breathe = () => new Promise((done) => setTimeout(done));

  const example = {
    count: 1,
    galaxy: async () => ({
      source: planesOf(floats(facts.example.image), facts.size), noise: facts.example.noise, psf: facts.example.psf_fwhm,
    }),
  };

  function say(text, wrong = false) {
    find("status").textContent = text;
    find("status").classList.toggle("translate-wrong", wrong);
  }

  // Rows of pixels from below; `colour(at)` gives red, green and blue.
  function paint(canvas, colour) {
    const picture = new ImageData(facts.size, facts.size);
    for (let at = 0; at < facts.size ** 2; at++) {
      const row = facts.size - 1 - Math.floor(at / facts.size);
      picture.data.set([...colour(at), 255], 4 * (row * facts.size + (at % facts.size)));
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  // Colours of Lupton et al. (2004), on the scale of all pictures of this book.
  function lupton(planes) {
    const { weights, stretch, softening } = facts.lupton;
    return (at) => {
      const light = weights.map((weight, k) => (weight * planes[3 - k][at]) / facts.pixel_scale ** 2);
      const mean = (light[0] + light[1] + light[2]) / 3;
      const gain = mean > 0 ? (Math.asinh((mean * softening) / stretch) * 0.1) / Math.asinh(0.1 * softening) / mean : 0;
      const scaled = light.map((value) => Math.max(value * gain, 0));
      return scaled.map((value) => Math.floor((255 * value) / Math.max(1, ...scaled)));
    };
  }

  function diverging(plane) {
    const last = facts.diverging.length - 1;
    return (at) => {
      const where = Math.min(Math.max((plane[at] / LIMIT + 1) / 2, 0), 1) * last;
      const below = Math.min(Math.floor(where), last - 1);
      return facts.diverging[below].map((value, k) => value + (where - below) * (facts.diverging[below + 1][k] - value));
    };
  }

  const number = (value, digits) => { // without a negative zero
    const rounded = Number(value.toFixed(digits)) || 0;
    return Number.isFinite(value) ? rounded.toFixed(digits).replace("-", "−") : "–";
  };
  const probability = (p) => (p < 0.001 ? "< 0.001" : number(p, 3));

  const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

  // Scatter of the outermost pixels over the noise, of the median band: far from 1 in other units.
  function borderScatter(source, noise) {
    return median(source.map((plane, b) => {
      const border = plane.filter((_, at) => {
        const [y, x] = [Math.floor(at / facts.size), at % facts.size];
        return Math.min(x, y, facts.size - 1 - x, facts.size - 1 - y) < BORDER;
      });
      const middle = median(border);
      return (1.4826 * median(border.map((value) => Math.abs(value - middle)))) / noise[b];
    }));
  }

  function show() {
    const band = find("band").value;
    const b = facts.bands.indexOf(band);
    const change = shown.translated[b].map((value, at) => (value - shown.source[b][at]) / shown.noise[b]);
    const pictures = [lupton(shown.source), lupton(shown.translated), diverging(change), diverging(shown.bands[b].residual)];
    pictures.forEach((colour, k) => paint(canvases[k], colour));
    for (const cell of tool.querySelectorAll("[data-band]")) cell.textContent = band;
    find("rows").replaceChildren(...shown.bands.map((one, k) => {
      const row = document.createElement("tr");
      const cells = [facts.bands[k], `${number(one.chi2, 2)} (${number(facts.control[k], 2)})`, probability(one.probability), number(one.correlation, 2), number(100 * one.fluxError, 1)];
      row.append(...cells.map((text, column) => Object.assign(document.createElement(column ? "td" : "th"), { textContent: text })));
      row.firstChild.scope = "row";
      return row;
    }));
  }

  function summary(bands, assumed, scatter) {
    const above = facts.bands.filter((_, b) => !(bands[b].chi2 <= facts.control[b]));
    const missing = assumed.filter(Boolean).join(" and ");
    return [
      `${shown.name}: χ² is ${above.length ? `above that of 90 % of true images in ${above.join(", ")}` : "in the range of true images in every band"}.`,
      missing ? `The file states no ${missing}: the survey's typical values were used.` : "",
      scatter > 0.2 && scatter < 5 ? "" : `Pixels at the border scatter by ${scatter.toPrecision(2)} times the noise: are these nanomaggies per pixel?`,
    ].filter(Boolean).join(" ");
  }

  async function work(name, load) {
    const request = ++latest;
    const gone = () => request !== latest;
    say(`Translating ${name} …`);
    const busy = (now) => { tool.setAttribute("aria-busy", now); find("progress").hidden = !now; };
    busy(true);
    try {
      await breathe();
      const { source, noise, psf } = await load(gone);
      network ??= readWeights(facts.weights);
      const translated = await translate(network, source, async (part) => {
        find("progress").value = part;
        await breathe();
        if (gone()) throw new Error("another file was chosen");
      });
      const used = { noise: noise ?? facts.noise, psf: psf ?? facts.source_psf };
      const bands = card(source, translated, used.noise, used.psf, facts);
      if (gone()) return;
      shown = { name, source, translated, noise: used.noise, bands };
      tool.result = shown;
      show();
      find("save").disabled = false;
      say(summary(bands, [noise ? "" : "noise", psf ? "" : "seeing"], borderScatter(source, used.noise)));
    } catch (error) {
      if (!gone()) say(`${error.message}${shown ? ` Still shown: ${shown.name}.` : ""}`, true);
    } finally {
      if (!gone()) busy(false);
    }
  }

  const choose = (files) => {
    if (!files.length) return;
    const name = files.length > 1 ? `${files.length} files` : files[0].name;
    work(name, async (gone) => {
      const read = await readStamps([...files], facts);
      if (!gone()) offer(read, name);
      return read.galaxy(0);
    });
  };

  function offer(found, name) {
    stamps = { ...found, name };
    Object.assign(find("galaxy"), { value: 1, max: found.count });
    find("many").hidden = found.count < 2;
  }

  function start() {
    if (!facts) return say("This copy of the book was built without weights of the network.", true);
    find("file").addEventListener("change", (event) => choose(event.target.files));
    tool.addEventListener("dragover", (event) => event.preventDefault());
    tool.addEventListener("drop", (event) => { event.preventDefault(); choose(event.dataTransfer.files); });
    find("band").addEventListener("change", () => shown && show());
    find("galaxy").addEventListener("change", ({ target }) => {
      const k = Math.min(Math.max(Math.round(target.value) || 1, 1), stamps.count);
      target.value = k;
      work(`${stamps.name}, galaxy ${k}`, () => stamps.galaxy(k - 1));
    });
    const showExample = () => { find("file").value = ""; offer(example, "Example"); work("Example, a simulated galaxy", example.galaxy); };
    find("example").addEventListener("click", showExample);
    find("save").addEventListener("click", () => {
      const content = writeFits(shown.translated, facts.size, { PIXSCALE: facts.pixel_scale, BANDS: `'${facts.bands.join("").padEnd(8)}'` });
      const url = URL.createObjectURL(new Blob([content]));
      Object.assign(document.createElement("a"), { href: url, download: "translation.fits" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    });
    return showExample();
  }

  start();
})();
