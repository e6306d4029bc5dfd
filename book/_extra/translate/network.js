// The residual network of galtools/models/residual.py written out, and the card without truth of
// galtools/fidelity/consistency.py. All numbers are doubles. An image is a list of bands, each the
// rows of a square one after the other.
(() => {
  const BLUR_MARGIN = 16; // pixels of reflected image around the stamp, so that nothing wraps

  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const range = (count) => Array.from({ length: count }, (_, k) => k);

  function half(bits) {
    const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
  }

  // A safetensors file: length of the header, the header as JSON, all numbers.
  function readWeights(base64) {
    const content = bytes(base64);
    const view = new DataView(content.buffer);
    const start = 8 + Number(view.getBigUint64(0, true));
    const words = new TextDecoder().decode(content.subarray(8, start));
    const { __metadata__: notes, ...header } = JSON.parse(words);
    const tensors = {};
    for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
      const size = dtype === "F16" ? 2 : 4;
      const number = (at) => (size === 2 ? half(view.getUint16(at, true)) : view.getFloat32(at, true));
      const places = range((to - from) / size).map((k) => start + from + k * size);
      tensors[name] = { shape, values: Float64Array.from(places, number) };
    }
    return { tensors, ...JSON.parse(notes.galtools).about };
  }

  // 2 / sqrt(pi) exp(-x^2) (x + 2 x^3 / 3 + 4 x^5 / 15 + ...): every term has the same sign.
  function erf(x) {
    if (Math.abs(x) > 6) return Math.sign(x);
    let [term, sum] = [x, x];
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  const gelu = (x) => 0.5 * x * (1 + erf(x / Math.SQRT2));

  // A plane with a margin on all sides, filled by a function of row and column.
  function pad(side, margin, fill) {
    const wide = side + 2 * margin;
    return Float64Array.from({ length: wide * wide }, (_, at) =>
      fill(Math.floor(at / wide) - margin, (at % wide) - margin));
  }

  // torch.nn.Conv2d: kernels of k x k pixels, zeros around the image.
  function convolve(planes, side, weight, bias) {
    const [count, depth, k] = weight.shape;
    const [margin, wide] = [(k - 1) / 2, side + k - 1];
    const inside = (at) => at >= 0 && at < side;
    const padded = planes.map((plane) =>
      pad(side, margin, (y, x) => (inside(y) && inside(x) ? plane[y * side + x] : 0)));
    return range(count).map((o) => {
      const sum = new Float64Array(side * side).fill(bias.values[o]);
      padded.forEach((plane, i) => {
        for (let tap = 0; tap < k * k; tap++) {
          const w = weight.values[(o * depth + i) * k * k + tap];
          const shift = Math.floor(tap / k) * wide + (tap % k);
          for (let y = 0; y < side; y++) {
            for (let x = 0, to = y * side, from = y * wide + shift; x < side; x++) sum[to++] += w * plane[from++];
          }
        }
      });
      return sum;
    });
  }

  // Each block of pack x pack pixels becomes as many channels, and the way back.
  function unshuffle(planes, side, pack) {
    const small = side / pack;
    return planes.flatMap((plane) => range(pack * pack).map((k) =>
      Float64Array.from({ length: small * small }, (_, at) =>
        plane[(Math.floor(at / small) * pack + Math.floor(k / pack)) * side + (at % small) * pack + (k % pack)])));
  }

  function shuffle(planes, small, pack) {
    const side = small * pack;
    return range(planes.length / pack ** 2).map((band) =>
      Float64Array.from({ length: side * side }, (_, at) => {
        const [y, x] = [Math.floor(at / side), at % side];
        const channel = band * pack ** 2 + (y % pack) * pack + (x % pack);
        return planes[channel][Math.floor(y / pack) * small + Math.floor(x / pack)];
      }));
  }

  const add = (a, b) => a.map((plane, k) => plane.map((value, at) => value + b[k][at]));

  // Source in nanomaggies to target in nanomaggies. `progress` is awaited after each convolution.
  async function translate(network, images, progress = async () => {}) {
    const { tensors, recipe, scaling } = network;
    const [pack, blocks] = [recipe.sizes.pack ?? 2, recipe.sizes.blocks];
    const small = scaling.size / pack;
    let done = 0;
    const layer = async (name, planes) => {
      const made = convolve(planes, small, tensors[`${name}.weight`], tensors[`${name}.bias`]);
      await progress(++done / (2 * blocks + 3));
      return made;
    };
    const stretched = images.map((plane, b) => {
      const [softening, scale] = [scaling.source.softening[b], scaling.source.scale[b]];
      return plane.map((flux) => flux / softening / (Math.sqrt(1 + Math.abs(flux / softening)) + 1) / scale);
    });
    const first = await layer("head", unshuffle(stretched, scaling.size, pack));
    let planes = first;
    for (let k = 0; k < blocks; k++) {
      const inner = await layer(`body.${k}.first`, planes);
      planes = add(planes, await layer(`body.${k}.second`, inner.map((plane) => plane.map(gelu))));
    }
    const last = add(await layer("tail", planes), await layer("skip", first));
    return shuffle(last, small, pack).map((plane, b) => {
      const [softening, scale] = [scaling.target.softening[b], scaling.target.scale[b]];
      return plane.map((y) => y * scale * (Math.abs(y * scale) + 2) * softening);
    });
  }

  const dot = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);

  // exp(-rate k^(5/3)) is the transfer function of Kolmogorov seeing.
  const rate = (fwhm, facts) => (fwhm / (2 * Math.PI * facts.kolmogorov_fwhm)) ** (5 / 3) * (6.8838771822938 / 2);

  // Blur a plane to a broader seeing. A gain that is even in both frequencies is diagonal in the
  // real basis cos + sin, so that the Fourier transform is a product with a symmetric matrix.
  function blur(plane, side, fwhm, newFwhm, facts) {
    const wide = side + 2 * BLUR_MARGIN;
    const mirror = (at) => (at < 0 ? -at : at >= side ? 2 * (side - 1) - at : at);
    const basis = Float64Array.from({ length: wide * wide }, (_, at) => {
      const angle = (2 * Math.PI * ((Math.floor(at / wide) * (at % wide)) % wide)) / wide;
      return (Math.cos(angle) + Math.sin(angle)) / Math.sqrt(wide);
    });
    const times = (a) => product(product(basis, a, wide), basis, wide);
    const frequency = (k) => (2 * Math.PI * Math.min(k, wide - k)) / (wide * facts.pixel_scale);
    const fade = rate(newFwhm, facts) - rate(fwhm, facts);
    const spectrum = times(pad(side, BLUR_MARGIN, (y, x) => plane[mirror(y) * side + mirror(x)]));
    const blurred = times(spectrum.map((value, at) => {
      const squared = frequency(Math.floor(at / wide)) ** 2 + frequency(at % wide) ** 2;
      return value * Math.exp(-fade * squared ** (5 / 6));
    }));
    return Float64Array.from({ length: side * side }, (_, at) =>
      blurred[(Math.floor(at / side) + BLUR_MARGIN) * wide + (at % side) + BLUR_MARGIN]);
  }

  function product(a, b, side) {
    const made = new Float64Array(side * side);
    for (let y = 0; y < side; y++) for (let k = 0; k < side; k++) {
      for (let x = 0, w = a[y * side + k]; x < side; x++) made[y * side + x] += w * b[k * side + x];
    }
    return made;
  }

  // A translation as the source's survey sees it: its filters, by the colour terms, and its seeing.
  function carryBack(translated, psf, facts) {
    const magnitude = translated.map((plane) => -2.5 * Math.log10(Math.max(dot(plane, facts.aperture), 1e-3)));
    return translated.map((plane, b) => {
      const next = Math.min(b, translated.length - 2);
      const colour = Math.min(Math.max(magnitude[next] - magnitude[next + 1], -1), 4);
      const factor = 10 ** (-0.4 * (facts.terms[b][0] + facts.terms[b][1] * colour));
      const [own, broader] = [facts.target_psf[b], Math.max(facts.target_psf[b], psf[b])];
      return blur(plane.map((value) => value * factor), facts.size, own, broader, facts);
    });
  }

  // Slope of a plane from row to row (step: a row) or from column to column (step: 1).
  const slope = (plane, side, step) => plane.map((_, at) => {
    const along = step === 1 ? at % side : Math.floor(at / side);
    const [before, after] = [along > 0 ? at - step : at, along < side - 1 ? at + step : at];
    return (plane[after] - plane[before]) / ((after - before) / step);
  });

  // Residual of one band in units of the noise, after a shift has been fitted inside the circle.
  function residual(x, back, sigma, gain, facts) {
    const noise = back.map((value) => Math.sqrt(sigma ** 2 + Math.max(value, 0) / gain));
    const slopes = [facts.size, 1].map((step) => slope(back, facts.size, step));
    const design = slopes.map((plane) => plane.map((value, at) => (facts.near[at] * value) / noise[at]));
    const chi = x.map((value, at) => (value - back[at]) / noise[at]);
    const [a, b, c] = [dot(design[0], design[0]) + 1e-9, dot(design[0], design[1]), dot(design[1], design[1]) + 1e-9];
    const [p, q] = design.map((plane) => dot(plane, chi));
    const [down, right] = [(c * p - b * q) / (a * c - b * b), (a * q - b * p) / (a * c - b * b)];
    return chi.map((value, at) => value - (down * slopes[0][at] + right * slopes[1][at]) / noise[at]);
  }

  // Correlation of neighbouring pixels inside the circle, along both axes.
  function neighbourCorrelation(r, { near, size }) {
    const inside = r.map((value, at) => value * near[at]);
    let [sum, pairs] = [0, 0];
    near.forEach((one, at) => {
      for (const other of [at % size < size - 1 ? at + 1 : -1, at + size]) {
        if (one && near[other]) { sum += inside[at] * inside[other]; pairs++; }
      }
    });
    return ((sum / pairs) * dot(near, near)) / dot(inside, inside);
  }

  // The card without truth of one galaxy, per band, and the maps that it follows from.
  function card(source, translated, noise, psf, facts) {
    const back = carryBack(translated, psf, facts);
    return source.map((x, b) => {
      const r = residual(x, back[b], noise[b], facts.gain[b], facts);
      const [count, chi2] = [dot(facts.near, facts.near) - 2, dot(r.map((value) => value ** 2), facts.near)];
      const [flux, fluxBack] = [x, back[b]].map((plane) => dot(plane, facts.aperture));
      return {
        residual: r,
        chi2: chi2 / count,
        correlation: neighbourCorrelation(r, facts),
        fluxError: flux > 0 ? fluxBack / flux - 1 : NaN,
      };
    });
  }

  window.galaxyTranslator = { bytes, readWeights, translate, card };
})();
