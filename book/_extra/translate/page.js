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
  const breathe = () => new Promise((done) => setTimeout(done));

  const example = {
    count: 1,
    galaxy: async () => {
      const { image, noise, psf_fwhm: psf } = facts.example;
      const area = facts.size ** 2;
      return { source: facts.bands.map((_, b) => floats(image).slice(b * area, (b + 1) * area)), noise, psf };
    },
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
    const slope = 0.1 / Math.asinh(0.1 * softening);
    return (at) => {
      const flux = weights.map((weight, k) => (weight * planes[3 - k][at]) / facts.pixel_scale ** 2);
      const mean = (flux[0] + flux[1] + flux[2]) / 3;
      const gain = mean > 0 ? (slope * Math.asinh((mean * softening) / stretch)) / mean : 0;
      const scaled = flux.map((value) => Math.max(value * gain, 0));
      return scaled.map((value) => Math.floor((255 * value) / Math.max(1, ...scaled)));
    };
  }

  // Blue, white, red for values from -LIMIT to LIMIT.
  function diverging(plane) {
    const last = facts.diverging.length - 1;
    return (at) => {
      const where = Math.min(Math.max((plane[at] / LIMIT + 1) / 2, 0), 1) * last;
      const k = Math.min(Math.floor(where), last - 1);
      const [below, above] = facts.diverging.slice(k, k + 2);
      return below.map((value, c) => value + (where - k) * (above[c] - value));
    };
  }

  const number = (value, digits) => { // without a negative zero
    const rounded = Number(value.toFixed(digits)) || 0;
    return Number.isFinite(value) ? rounded.toFixed(digits).replace("-", "−") : "–";
  };
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
    const { source, translated, noise, bands } = shown;
    const change = translated[b].map((value, at) => (value - source[b][at]) / noise[b]);
    const maps = [diverging(change), diverging(bands[b].residual)];
    [lupton(source), lupton(translated), ...maps].forEach((colour, k) => paint(canvases[k], colour));
    for (const cell of tool.querySelectorAll("[data-band]")) cell.textContent = band;
    bands.forEach(({ chi2, correlation, fluxError }, k) => {
      const cells = find("rows").rows[k].querySelectorAll("td");
      const [low, high] = facts.control[k].map((end) => number(end, 2));
      cells[0].textContent = `${number(chi2, 2)} (${low}–${high})`;
      cells[1].textContent = number(correlation, 2);
      cells[2].textContent = number(100 * fluxError, 1);
    });
  }

  function summary({ name, bands }, assumed, scatter) {
    const within = ({ chi2 }, [low, high]) => chi2 >= low && chi2 <= high;
    const outside = facts.bands.filter((_, b) => !within(bands[b], facts.control[b]));
    const found = outside.length ? `outside the range of 98 % of true images in ${outside.join(", ")}`
      : "within the range of 98 % of true images in every band";
    let words = `${name}: χ² is ${found}.`;
    if (assumed) words += ` The file states no ${assumed}: the survey's typical values were used.`;
    if (!(scatter > 0.2 && scatter < 5)) {
      words += ` Pixels at the border scatter by ${scatter.toPrecision(2)} times the noise: `
        + "are these nanomaggies per pixel?";
    }
    return words;
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
      const [sigma, seeing] = [noise ?? facts.noise, psf ?? facts.source_psf];
      const bands = card(source, translated, sigma, seeing, facts);
      if (gone()) return;
      shown = tool.result = { name, source, translated, noise: sigma, bands };
      show();
      find("save").disabled = false;
      const assumed = [noise ? "" : "noise", psf ? "" : "seeing"].filter(Boolean).join(" and ");
      say(summary(shown, assumed, borderScatter(source, sigma)));
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

  function save() {
    const stated = { PIXSCALE: facts.pixel_scale, BANDS: `'${facts.bands.join("").padEnd(8)}'` };
    const url = URL.createObjectURL(new Blob([writeFits(shown.translated, facts.size, stated)]));
    Object.assign(document.createElement("a"), { href: url, download: "translation.fits" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  function showExample() {
    find("file").value = "";
    offer(example, "Example");
    work("Example, a simulated galaxy", example.galaxy);
  }

  function pick({ target }) {
    const k = Math.min(Math.max(Math.round(target.value) || 1, 1), stamps.count);
    target.value = k;
    work(`${stamps.name}, galaxy ${k}`, () => stamps.galaxy(k - 1));
  }

  if (!facts) return say("This copy of the book was built without weights of the network.", true);
  find("file").addEventListener("change", (event) => choose(event.target.files));
  tool.addEventListener("dragover", (event) => event.preventDefault());
  tool.addEventListener("drop", (event) => { event.preventDefault(); choose(event.dataTransfer.files); });
  find("band").addEventListener("change", () => shown && show());
  find("galaxy").addEventListener("change", pick);
  find("example").addEventListener("click", showExample);
  find("save").addEventListener("click", save);
  return showExample();
})();
