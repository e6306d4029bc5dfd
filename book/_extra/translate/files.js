// Stamps from files that readers drop: npz, npy and FITS. Whatever else comes is refused in one line.
(() => {
  const LARGEST = 2 ** 25; // bytes of a file, and of an array in an npz file
  const MOST = 400 * 5 * 64 * 64; // numbers of an array
  const FILES = "give a FITS, npz or npy file";
  const ARRAYS = ["source", "images", "data", "noise", "psf_fwhm"]; // of an npz file
  const GETTERS = {
    f4: "getFloat32", f8: "getFloat64", i1: "getInt8", i2: "getInt16", i4: "getInt32",
    u1: "getUint8", u2: "getUint16", u4: "getUint32",
  };
  const BITPIX = { 8: "u1", 16: "i2", 32: "i4", "-32": "f4", "-64": "f8" };

  class Refused extends Error {}
  const refuse = (text) => { throw new Refused(text); };
  const text = (content, from, to) => new TextDecoder("latin1").decode(content.subarray(from, to));
  const viewOf = (content) => new DataView(content.buffer, content.byteOffset, content.byteLength);
  const product = (shape) => shape.reduce((all, side) => all * side, 1);

  function numbers(content, start, kind, little, shape) {
    const [getter, size, count] = [GETTERS[kind], Number(kind[1]), product(shape)];
    if (!getter) refuse(`holds numbers of the type ${kind}: save them as float32`);
    if (!shape.every((side) => Number.isSafeInteger(side) && side >= 0)) refuse("is damaged");
    if (count > MOST) refuse("holds more than 400 galaxies: save fewer");
    if (start + count * size > content.length) refuse("is cut short");
    const [view, values] = [viewOf(content), new Float64Array(count)];
    for (let k = 0; k < count; k++) values[k] = view[getter](start + k * size, little);
    return { shape, values };
  }

  function readNpy(content) {
    const long = content[6] > 1;
    const start = (long ? 12 : 10) + viewOf(content)[long ? "getUint32" : "getUint16"](8, true);
    const header = text(content, 10, start);
    const type = /'descr': *'([<>|=])(\w+)'/.exec(header) ?? refuse("holds no plain numbers");
    if (/'fortran_order': *True/.test(header)) refuse("is in Fortran order: save np.ascontiguousarray(images)");
    const sides = /'shape': *\(([\d, ]*)\)/.exec(header)[1].split(",");
    const shape = sides.filter((side) => side.trim()).map(Number);
    return numbers(content, start, type[2], type[1] !== ">", shape);
  }

  // The arrays of an npz file by name: a zip archive, stored or deflated.
  async function readNpz(content) {
    const [view, arrays] = [viewOf(content), {}];
    let end = content.length - 22;
    while (view.getUint32(end, true) !== 0x06054b50) end--; // beyond the start this throws
    let at = view.getUint32(end + 16, true);
    for (let left = view.getUint16(end + 10, true); left > 0; left--) {
      const [nameLength, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
      const name = text(content, at + 46, at + 46 + nameLength).replace(/\.npy$/, "");
      if (ARRAYS.includes(name) && !(name in arrays)) arrays[name] = readNpy(await unzip(content, at));
      at += 46 + nameLength + extra + comment;
    }
    return arrays;
  }

  // One file of an archive, whose entry in the directory is at `at`.
  async function unzip(content, at) {
    const view = viewOf(content);
    const [crc, packed, size, local] = [16, 20, 24, 42].map((offset) => view.getUint32(at + offset, true));
    if (size > LARGEST) refuse("holds arrays of more than 32 MB: save fewer galaxies");
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const inside = content.subarray(start, start + packed);
    const whole = view.getUint16(at + 10, true) === 8 ? await inflate(inside, size) : inside;
    if (whole.length !== size || crc32(whole) !== crc) refuse("is damaged");
    return whole;
  }

  async function inflate(packed, size) {
    const whole = new Uint8Array(size);
    const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
    for (let at = 0, part; !(part = await reader.read()).done; at += part.value.length) whole.set(part.value, at);
    return whole; // more bytes than were announced do not fit: `set` throws
  }

  function crc32(content) {
    const table = Array.from({ length: 256 }, (_, byte) => {
      for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
      return byte;
    });
    let crc = -1;
    for (const byte of content) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
    return (crc ^ -1) >>> 0;
  }

  const real = (words) => (words ? Number(words.replace(/D/i, "E")) : NaN); // 1.0D-3 is a number, too

  // Cards of the header that begins at `at`, by keyword, and where its data begin.
  function readHeader(content, at) {
    for (const cards = {}; at + 80 <= content.length; at += 80) {
      const card = text(content, at, at + 80);
      if (card.trim() === "END") return { cards, start: Math.ceil((at + 80) / 2880) * 2880 };
      const [, words, value] = /^'((?:[^']|'')*)'|^([^/]*)/.exec(card.slice(10).trim());
      if (card.slice(8, 10) === "= ") cards[card.slice(0, 8).trim()] ??= (words ?? value).trim();
    }
    return refuse("is cut short");
  }

  // The first image of a FITS file with two axes or more, and the cards of its header.
  function readFits(content) {
    for (let at = 0; at < content.length;) {
      const { cards, start } = readHeader(content, at);
      const count = Math.min(Number(cards.NAXIS), 9) || 0;
      const axes = Array.from({ length: count }, (_, k) => Number(cards[`NAXIS${count - k}`]));
      if (axes.length > 1 && (cards.XTENSION ?? "IMAGE") === "IMAGE") {
        const kind = BITPIX[cards.BITPIX] ?? `BITPIX ${cards.BITPIX}`;
        const { shape, values } = numbers(content, start, kind, false, axes);
        const [zero, scale, blank] = [cards.BZERO ?? "0", cards.BSCALE ?? "1", cards.BLANK ?? ""].map(real);
        return { cards, shape, values: values.map((value) => (value === blank ? NaN : zero + scale * value)) };
      }
      if (cards.ZIMAGE) refuse("is a compressed FITS image: unpack it with funpack");
      const pixels = axes.length ? product(axes) + Number(cards.PCOUNT ?? 0) : 0;
      const size = (Math.abs(cards.BITPIX) / 8) * pixels;
      if (!(size >= 0)) refuse("is damaged");
      at = start + Math.ceil(size / 2880) * 2880;
    }
    return refuse("holds no image");
  }

  async function readOne(file) {
    const content = new Uint8Array(await file.arrayBuffer());
    const start = text(content, 0, 9);
    if (start.startsWith("SIMPLE  =")) return { images: readFits(content) };
    if (content[0] === 0x93 && start.startsWith("NUMPY", 1)) return { images: readNpy(content) };
    if (content[0] === 0x1f && content[1] === 0x8b) refuse("is compressed: unpack it with gunzip");
    if (!start.startsWith("PK")) refuse(`is of another kind: ${FILES}`);
    const arrays = await readNpz(content);
    const images = arrays.source ?? arrays.images ?? arrays.data;
    return images ? { ...arrays, images } : refuse("has no array named source, images or data");
  }

  // Do something with a file; what goes wrong is said in one line that begins with its name.
  async function naming(file, work) {
    try {
      return await work();
    } catch (error) {
      const reason = error instanceof Refused ? error.message : `is damaged, or of another kind: ${FILES}`;
      throw new Refused(`${file.name} ${reason}.`);
    }
  }

  // Band of a FITS file of one: FILTER, or a word of its name, as in galaxy_r.fits.
  function bandOf({ images: { cards } }, { name }, bands) {
    const bandIn = (label) => bands.find((band) => label.split(/[^A-Za-z]+/).includes(band));
    return bandIn(cards?.FILTER ?? "") ?? bandIn(name)
      ?? refuse("does not state its band: put it into FILTER, or into the name, as in galaxy_r.fits");
  }

  const onePerBand = (bands) => `give one FITS file for each of ${bands.join(", ")}`;

  // One image of the files of single bands.
  function joinBands(found, files, bands, size) {
    const names = found.map((one, k) => bandOf(one, files[k], bands));
    const planes = bands.map((band) => found[names.indexOf(band)]?.images);
    if (planes.includes(undefined)) refuse(`and the other files: ${onePerBand(bands)}`);
    if (planes.some(({ shape }) => shape.join() !== [size, size].join())) {
      refuse(`and the other files: cut out ${size} x ${size} pixels of one band`);
    }
    return { shape: [bands.length, size, size], values: planes.flatMap(({ values }) => [...values]) };
  }

  // Number of galaxies of an array (bands, y, x) or (galaxies, bands, y, x).
  function countGalaxies({ shape }, bands, size) {
    const [width, height, depth, count = 1, ...more] = [...shape].reverse();
    if (depth !== bands.length || more.length) {
      refuse(`is an array (${shape.join(", ")}): give (galaxies, bands, y, x), bands ${bands.join(", ")}`);
    }
    if (width !== size || height !== size) {
      refuse(`has stamps of ${height} x ${width} pixels: cut out ${size} x ${size} around the galaxy`);
    }
    return count || refuse("holds no galaxy");
  }

  // One number per band of galaxy k of `count`, or null where the file states none.
  function statedFor(k, count, array, bands) {
    if (!array) return null;
    const own = array.shape.join() === [count, bands.length].join(); // of every galaxy
    const from = own ? k * bands.length : 0;
    const values = [...array.values.slice(from, from + bands.length)];
    const good = (own || array.shape.join() === String(bands.length))
      && values.every((value) => value > 0 && value < Infinity);
    return good ? values : refuse("states a noise or psf_fwhm that is not one positive number per band");
  }

  // Galaxies of files: `count` of them, and `galaxy(k)` with its bands, noise and seeing.
  async function readStamps(files, { bands, size }) {
    const [found, bytes] = [[], files.reduce((sum, file) => sum + file.size, 0)];
    await naming(files[0], () => {
      if (![1, bands.length].includes(files.length)) refuse(`and the other files: ${onePerBand(bands)}`);
      if (bytes > LARGEST) refuse("has more than 32 MB: cut out stamps");
    });
    for (const file of files) found.push(await naming(file, () => readOne(file)));
    return naming(files[0], () => {
      const { noise, psf_fwhm: psf } = found[0];
      const images = files.length > 1 ? joinBands(found, files, bands, size) : found[0].images;
      const count = countGalaxies(images, bands, size);
      const plane = (number) => images.values.slice(number * size ** 2, (number + 1) * size ** 2);
      const galaxy = (k) => {
        const source = bands.map((_, b) => plane(k * bands.length + b));
        const broken = bands.filter((_, b) => !source[b].every(Number.isFinite));
        if (broken.length) refuse(`has pixels without a number in ${broken.join(", ")}: fill them first`);
        return { source, noise: statedFor(k, count, noise, bands), psf: statedFor(k, count, psf, bands) };
      };
      return { count, galaxy: (k) => naming(files[0], () => galaxy(k)) };
    });
  }

  // A FITS file of one galaxy, (1, bands, y, x), as `galtools` reads it.
  function writeFits(planes, size, facts) {
    const axes = { NAXIS: 4, NAXIS1: size, NAXIS2: size, NAXIS3: planes.length, NAXIS4: 1 };
    const cards = Object.entries({ SIMPLE: "T", BITPIX: -32, ...axes, ...facts });
    const lines = cards.map(([key, value]) => `${key.padEnd(8)}= ${String(value).padStart(20)}`.padEnd(80));
    const data = 4 * planes.length * size ** 2;
    const content = new Uint8Array(2880 + Math.ceil(data / 2880) * 2880);
    content.set(new TextEncoder().encode([...lines, "END"].join("").padEnd(2880)));
    const view = viewOf(content);
    planes.flatMap((plane) => [...plane]).forEach((value, k) => view.setFloat32(2880 + 4 * k, value));
    return content;
  }

  Object.assign(window.galaxyTranslator, { readStamps, writeFits });
})();
