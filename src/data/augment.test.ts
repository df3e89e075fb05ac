/** @file Augmentation: what each does to pixels, that it depends on seed, epoch and image alone, and what is refused. */
import { describe, expect, it } from "vitest";
import { Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { AUGMENT, type Augmentation, augmentSource, createAugmenter } from "./augment.ts";
import { fromSamples } from "./source.ts";

/** Two channels of 4 × 5, all values different and none 0. */
const IMAGE = Tensor.float32(
  [2, 4, 5],
  Float32Array.from({ length: 40 }, (_, i) => i + 1),
);
const at = (image: Tensor, c: number, y: number, x: number): number => {
  const [, height, width] = image.dims as [number, number, number];
  return image.floats()[(c * height + y) * width + x]!;
};
const variants = (augment: string | readonly Augmentation[], count: number, image = IMAGE): Tensor[] => {
  const augmenter = createAugmenter(augment, { seed: 7 });
  return Array.from({ length: count }, (_, index) => augmenter.image(image, index, 0));
};

describe("shift", () => {
  it("moves by every distance alike, with zeros behind", () => {
    const counts = new Map<string, number>();
    for (const moved of variants([{ shift: 1 }], 1800)) {
      expect(moved.dims).toEqual(IMAGE.dims);
      // Where the value of pixel (1, 2) went.
      const place = moved.floats().indexOf(at(IMAGE, 0, 1, 2));
      const [dy, dx] = [Math.floor(place / 5) - 1, (place % 5) - 2];
      counts.set(`${dy},${dx}`, (counts.get(`${dy},${dx}`) ?? 0) + 1);
      for (let c = 0; c < 2; c++) {
        for (let y = 0; y < 4; y++) {
          for (let x = 0; x < 5; x++) {
            const inside = y - dy >= 0 && y - dy < 4 && x - dx >= 0 && x - dx < 5;
            if (at(moved, c, y, x) !== (inside ? at(IMAGE, c, y - dy, x - dx) : 0)) throw new Error(`${c} ${y} ${x}`);
          }
        }
      }
    }
    expect(counts.size).toBe(9);
    // 200 each; the standard deviation of one count is 13.
    for (const count of counts.values()) expect(Math.abs(count - 200)).toBeLessThan(55);
  });

  it("fills with what it is told", () => {
    const values = variants([{ shift: 2, fill: -9 }], 20).flatMap((image) => [...image.floats()]);
    expect(values).toContain(-9);
    expect(values).not.toContain(0);
  });
});

it("flips half of the images, or the share that it is told", () => {
  const mirrored = (image: Tensor): boolean => {
    const flipped = at(image, 1, 2, 0) === at(IMAGE, 1, 2, 4);
    for (let c = 0; c < 2; c++) {
      for (let y = 0; y < 4; y++) {
        for (let x = 0; x < 5; x++) expect(at(image, c, y, x)).toBe(at(IMAGE, c, y, flipped ? 4 - x : x));
      }
    }
    return flipped;
  };
  const share = (flip: true | number, count: number): number =>
    variants([{ flip }], count).filter(mirrored).length / count;
  expect(Math.abs(share(true, 400) - 0.5)).toBeLessThan(0.1);
  expect(Math.abs(share(0.1, 400) - 0.1)).toBeLessThan(0.06);
  expect(share(1, 10)).toBe(1);
});

describe("crop", () => {
  it("cuts windows anywhere in the padded image", () => {
    const places = new Set<number>();
    for (const cut of variants([{ crop: 1, height: 2, width: 3 }], 300)) {
      expect(cut.dims).toEqual([2, 2, 3]);
      const [corner, right] = [at(cut, 0, 0, 0), at(cut, 0, 0, 1)];
      if (corner !== 0 && right !== 0) expect(right).toBe(corner + 1);
      places.add(corner);
    }
    // Windows begin at rows −1 … 3 (inside 0 … 3) and columns −1 … 3.
    expect([...places].filter((value) => value !== 0).sort((a, b) => a - b)).toEqual([
      1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19,
    ]);
  });

  it("keeps the size by default and refuses windows larger than the image", () => {
    expect(variants([{ crop: 2 }], 1)[0]!.dims).toEqual(IMAGE.dims);
    expect(() => variants([{ crop: 0, height: 9 }], 1)).toThrow("got 9×5 of 4×5");
  });
});

it("erases one rectangle of the size that it is told, in all channels", () => {
  const image = Tensor.float32([2, 20, 30], new Float32Array(1200).fill(1));
  let erased = 0;
  for (const variant of variants([{ erase: 0.6, area: [0.1, 0.2], aspect: [0.5, 2] }], 300, image)) {
    const holes = (c: number): number[] => {
      const plane = variant.floats().subarray(c * 600, (c + 1) * 600);
      return [...plane.keys()].filter((i) => plane[i] === 0);
    };
    const [first, second] = [holes(0), holes(1)];
    expect(first).toEqual(second);
    if (first.length === 0) continue;
    erased++;
    const rows = first.map((i) => Math.floor(i / 30));
    const columns = first.map((i) => i % 30);
    const height = Math.max(...rows) - Math.min(...rows) + 1;
    const width = Math.max(...columns) - Math.min(...columns) + 1;
    expect(height * width).toBe(first.length);
    // Sides are rounded: 60 … 120 pixels become at most half a pixel more or less along each.
    expect(first.length).toBeGreaterThan(60 - (height + width) / 2 - 1);
    expect(first.length).toBeLessThan(120 + (height + width) / 2 + 1);
    expect(height / width).toBeGreaterThan(0.4);
    expect(height / width).toBeLessThan(2.5);
  }
  expect(Math.abs(erased / 300 - 0.6)).toBeLessThan(0.13);
});

it("changes brightness by a factor, and contrast around the mean", () => {
  const factors = variants([{ brightness: 0.25 }], 200).map((image) => {
    const factor = at(image, 0, 0, 0) / at(IMAGE, 0, 0, 0);
    expect(at(image, 1, 3, 4) / at(IMAGE, 1, 3, 4)).toBeCloseTo(factor, 5);
    return factor;
  });
  const mean = 20.5;
  const slopes = variants([{ contrast: 0.25 }], 200).map((image) => {
    const values = image.floats();
    expect(values.reduce((sum, x) => sum + x, 0) / 40).toBeCloseTo(mean, 3);
    return (values[39]! - values[0]!) / 39;
  });
  for (const drawn of [factors, slopes]) {
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0.75 - 1e-5);
    expect(Math.max(...drawn)).toBeLessThanOrEqual(1.25 + 1e-5);
    expect(Math.max(...drawn) - Math.min(...drawn)).toBeGreaterThan(0.45);
  }
});

it("gives every image its variant of the epoch, whatever batch it stands in", () => {
  const augment = [{ shift: 2 }, { flip: true }, { brightness: 0.5 }] as const;
  const augmenter = createAugmenter(augment, { seed: 3 });
  const batch = (indices: readonly number[], epoch: number): Tensor =>
    augmenter.batch(
      Tensor.float32([indices.length, 2, 4, 5], Float32Array.from(indices.flatMap(() => [...IMAGE.floats()]))),
      indices,
      epoch,
    );
  const both = batch([5, 9], 1);
  expect(both.dims).toEqual([2, 2, 4, 5]);
  expect([...both.floats()]).toEqual([...batch([5], 1).floats(), ...augmenter.image(IMAGE, 9, 1).floats()]);
  expect(batch([5], 2).floats()).not.toEqual(batch([5], 1).floats());
  expect(batch([9], 1).floats()).not.toEqual(batch([5], 1).floats());
  const other = createAugmenter(augment, { seed: 4 });
  expect(other.image(IMAGE, 5, 1).floats()).not.toEqual(batch([5], 1).floats());
  expect(createAugmenter(augment, { seed: 3 }).image(IMAGE, 5, 1).floats()).toEqual(batch([5], 1).floats());
  expect(IMAGE.floats()[0]).toBe(1);
});

it("takes rows of pixels where their shape is told", () => {
  const row = Tensor.float32([1, 40], IMAGE.floats());
  const augmented = createAugmenter("shift=2", { shape: [2, 4, 5] }).batch(row, [3], 0);
  expect(augmented.dims).toEqual([1, 40]);
  expect([...augmented.floats()]).toEqual([...createAugmenter("shift=2").image(IMAGE, 3, 0).floats()]);
});

it("augments a source by the place of its samples, again and again, and keeps labels", async () => {
  const one = new Tensor("float32", [1, ...IMAGE.dims], IMAGE.source);
  const source = fromSamples([{ inputs: { x: one }, label: 4 }, { inputs: { x: one } }], "two");
  const augmenter = createAugmenter("shift=2,flip");
  const augmented = augmentSource(source, "x", augmenter, 3);
  expect([augmented.name, augmented.length]).toEqual(["two, augmented: shift, flip", 2]);
  for (let round = 0; round < 2; round++) {
    let index = 0;
    for await (const { inputs, label } of augmented.samples()) {
      expect(inputs["x"]!.floats()).toEqual(augmenter.image(IMAGE, index, 3).floats());
      expect(label).toBe(index++ === 0 ? 4 : undefined);
    }
  }
  const [iterator] = [augmentSource(source, "y", augmenter, 0).samples()];
  await expect((iterator as AsyncIterable<unknown>)[Symbol.asyncIterator]().next()).rejects.toThrow(/input "y", got x/);
});

describe("refuses", () => {
  it.each([
    [
      "what it does not know",
      "rotate=3",
      /augment 1: expected one of shift, flip, crop, erase, brightness, contrast, got rotate/,
    ],
    ["values that are not allowed", "flip,shift=0.5", /augment 2: shift: .*moved by up to so many pixels/],
    ["text without a number", "shift", /augment 1: shift: /],
    ["other keys", [{ flip: true, fill: 1 }], /augment 1: flip: .*fill/],
    ["wrong keys", [{ erase: 0.5, area: [0, 1] }], /augment 1: erase: area\.0: /],
    ["nothing", [null], /augment 1: expected one of .* got null/],
  ] as const)("%s", (_name, augment, text) => {
    expect(() => createAugmenter(augment as string)).toThrow(OptionError);
    expect(() => createAugmenter(augment as string)).toThrow(text);
  });

  it("tensors of another form", () => {
    const augmenter = createAugmenter("flip");
    expect(() => augmenter.batch(IMAGE, [0], 0)).toThrow(InputError);
    expect(() => augmenter.batch(Tensor.float32([2, 1, 1, 1], [1, 2]), [0], 0)).toThrow(
      /with 1 images, got float32\[2,1,1,1\]/,
    );
    expect(() => augmenter.image(IMAGE.toFloat16(), 0, 0)).toThrow(/expected float32/);
  });
});

it("is a described field of option tables", () => {
  expect(AUGMENT.parse([{ shift: 1 }, { flip: true }])).toEqual([{ shift: 1, fill: 0 }, { flip: true }]);
  expect(AUGMENT.parse("shift=1")).toBe("shift=1");
  expect(AUGMENT.safeParse([{ shift: 0 }]).success).toBe(false);
  expect(AUGMENT.description).toMatch(/shift, flip, crop, erase, brightness, contrast/);
});
