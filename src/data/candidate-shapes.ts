/**
 * @file Plausible sizes for the inputs of a model that nobody described: from names, ranks and the dimensions that are
 * fixed. The caller tries one after the other and takes the first that runs.
 */
import type { Port } from "../runtime/runtime.ts";
import { OptionError } from "../util/errors.ts";

export interface ShapeOptions {
  /** Complete shapes by input name: taken as they are. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** Sizes by symbolic dimension name ("height"): taken wherever the name stands. */
  readonly dims?: Readonly<Record<string, number>>;
}

/** One assignment of sizes to everything that the model leaves open. */
export interface ShapeCandidate {
  /** Sizes of the symbolic dimensions, by name. */
  readonly dims: Readonly<Record<string, number>>;
  /** Complete shapes, by input name. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

/** Sequence length of generated texts and other series. */
export const SEQUENCE = 16;

/** More would only try a caller's patience. */
const MAX_CANDIDATES = 48;

type Dim = number | string | undefined;
type Shape = readonly number[];

/** [C, H, W]: classifiers, text recognizers, detectors, digits, then sizes that some models insist on. */
const IMAGES: readonly Shape[] = [
  [3, 224, 224],
  [3, 48, 320],
  [3, 640, 640],
  [1, 28, 28],
  [3, 256, 256],
  [3, 32, 320],
  [3, 32, 32],
  [1, 224, 224],
  [1, 32, 100],
  [1, 32, 32],
  [3, 299, 299],
  [3, 384, 384],
  [3, 512, 512],
  [3, 960, 960],
  [4, 64, 64],
];

/** What stands at each open place, best guess first, by rank. Rank 4 is {@link IMAGES}. */
const GUESSES: Readonly<Record<number, readonly Shape[]>> = {
  0: [[]],
  1: [[1], [SEQUENCE], [16000]],
  3: [
    [1, SEQUENCE, 80],
    [1, SEQUENCE, 64],
    [1, 80, 3000],
    [1, 1, 16000],
    [1, 1, SEQUENCE],
    [3, 224, 224],
  ],
  5: [
    [1, 3, 16, 224, 224],
    [1, 3, 16, 112, 112],
    [1, 1, 32, 32, 32],
    [1, 16, 3, 224, 224],
  ],
};
/** Rank 2, float: 32 ms and 1 s of sound at 16 kHz (silero takes 512 samples), then feature vectors. */
const SERIES: readonly Shape[] = [512, 16000, SEQUENCE, 128, 64, 1, 1536].map((length) => [1, length]);
const IDS: readonly Shape[] = [SEQUENCE, 1, 8, 77, 128, 512].map((length) => [1, length]);
const UNKNOWN_RANK: readonly Shape[] = [[1], [1, SEQUENCE], [1, 3, 224, 224], [], [1, SEQUENCE, 80]];

/** A symbolic name, a fixed size, or undefined where the exporter wrote nothing or a word that says nothing. */
function normalize(dim: number | string | null): Dim {
  if (dim === null || (typeof dim === "number" && dim < 0)) return undefined;
  return typeof dim === "string" && /^(none|null|unknown|dynamic|\?|-?1|\s*)$/i.test(dim) ? undefined : dim;
}

/** The size that a symbolic name itself says, or undefined: "batch_size" is 1, "past_sequence_length" 0. */
function sizeOfName(name: string, dims: ReadonlyMap<string, number>): number | undefined {
  const known = dims.get(name);
  if (known !== undefined) return known;
  if (/^\d+$/.test(name)) return Number(name);
  const terms = name.split("+").map((term) => term.trim());
  if (terms.length > 1) {
    const sizes = terms.map((term) => sizeOfName(term, dims));
    return sizes.includes(undefined) ? SEQUENCE : sizes.reduce<number>((sum, size) => sum + size!, 0);
  }
  const words = name.toLowerCase();
  if (/batch|^n$|^bs$/.test(words)) return 1;
  if (/past|cache/.test(words) && !/total/.test(words)) return 0;
  if (/num_channels|^channels?$/.test(words)) return 3;
  return undefined;
}

/** Names of dimensions that are lengths of series, not of sound (where the length is in samples). */
const SEQUENCE_NAME = /seq|token|length|time|frames|words/;

function isInteger(port: Port): boolean {
  return port.dtype === "int64" || port.dtype === "int32";
}

/** Guesses for a port of this rank, those first that agree with its fixed dimensions. */
function guessesFor(port: Port, shape: readonly Dim[]): readonly Shape[] {
  const rank = shape.length;
  let guesses = GUESSES[rank] ?? [shape.map(() => 1), shape.map(() => 2)];
  if (rank === 2) guesses = isInteger(port) || port.dtype === "bool" ? IDS : SERIES;
  if (rank === 4 && (isInteger(port) || port.dtype === "bool")) guesses = [[1, 1, SEQUENCE, SEQUENCE]];
  else if (rank === 4) {
    const first = shape[1];
    const last = shape[3];
    const channelsLast = typeof last === "number" && last <= 4 && !(typeof first === "number" && first <= 4);
    if (/past|cache|key_values/i.test(port.name))
      guesses = [
        [1, 8, 0, 64],
        [1, 8, 1, 64],
        [1, 8, SEQUENCE, 64],
      ];
    else if (channelsLast) guesses = IMAGES.map(([c, h, w]) => [1, h!, w!, c!]);
    else if (typeof first === "number" && first > 4) guesses = [16, 32, 8, 56, 1].map((size) => [1, first, size, size]);
    else guesses = IMAGES.map((image) => [1, ...image]);
    if (first === undefined && last === undefined) guesses = [...guesses, [1, 224, 224, 3], [1, 28, 28, 1]];
  }
  const misses = (guess: Shape) => shape.filter((dim, i) => typeof dim === "number" && dim !== guess[i]).length;
  return guesses.toSorted((a, b) => misses(a) - misses(b)); // stable
}

/** The port's shape by one guess; sizes of symbolic names are looked up in `dims` and entered there. */
function fill(port: Port, shape: readonly Dim[], guess: Shape, dims: Map<string, number>): Shape {
  return shape.map((dim, i) => {
    if (typeof dim === "number") return dim;
    let size = dim === undefined ? undefined : sizeOfName(dim, dims);
    const isSound = port.dtype === "float32" && shape.length === 2;
    if (size === undefined && dim !== undefined && SEQUENCE_NAME.test(dim.toLowerCase()) && !isSound) {
      // A length may still vary with the guess where the guesses differ at this place; text starts at SEQUENCE.
      size = shape.length === 2 ? guess[i] : SEQUENCE;
    }
    // State tensors such as [2, ?, 128]: what follows a fixed number of layers is the batch.
    if (size === undefined && i === 1 && shape.length === 3 && typeof shape[0] === "number" && shape[0] > 1) size = 1;
    size ??= guess[i] ?? 1;
    if (dim !== undefined) dims.set(dim, size);
    return size;
  });
}

function normalizedShape(port: Port): readonly Dim[] | undefined {
  return port.shape?.map(normalize);
}

function guessCount(port: Port, given: boolean): number {
  const shape = normalizedShape(port);
  if (given) return 1;
  if (shape === undefined) return UNKNOWN_RANK.length;
  return shape.some((dim) => typeof dim !== "number") ? guessesFor(port, shape).length : 1;
}

/** Complete shapes for one input alone, best guess first, no shape twice. */
export function candidateShapes(port: Port, options: ShapeOptions = {}): readonly Shape[] {
  return [...shapeCandidates([port], options)].map((candidate) => candidate.shapes[port.name]!);
}

/**
 * Complete assignments for all inputs, best guess first, none twice, at most 48; a symbolic name has one size throughout.
 * Inputs that look alike (same type, rank and fixed dimensions) vary together, then kinds of inputs one at a time.
 * @throws OptionError for names in `options` that the model has not, and shapes that its fixed dimensions forbid.
 */
export function* shapeCandidates(ports: readonly Port[], options: ShapeOptions = {}): Generator<ShapeCandidate> {
  checkOptions(ports, options);
  const shapeOf = (port: Port) => normalizedShape(port);
  const kindOf = (port: Port) =>
    `${port.dtype} ${shapeOf(port)?.map((dim) => (typeof dim === "number" ? dim : "?")) ?? "unknown"}`;
  const groups = [...new Set(ports.map(kindOf))].map((kind) => ports.filter((port) => kindOf(port) === kind));
  const given = (port: Port) => options.shapes?.[port.name];
  const counts = groups.map((group) => Math.max(...group.map((port) => guessCount(port, given(port) !== undefined))));
  const most = Math.max(1, ...counts);

  // Which guess each group takes: all their first, then one group's others, then all together.
  const plans: { readonly picks: readonly number[]; readonly lead: number }[] = [
    { picks: groups.map(() => 0), lead: 0 },
    ...groups.flatMap((_, lead) =>
      Array.from({ length: counts[lead]! - 1 }, (_, i) => ({
        picks: groups.map((_, g) => (g === lead ? i + 1 : 0)),
        lead,
      })),
    ),
    ...Array.from({ length: most - 1 }, (_, i) => ({ picks: groups.map(() => i + 1), lead: 0 })),
  ];

  const seen = new Set<string>();
  for (const { picks, lead } of plans) {
    const dims = new Map(Object.entries(options.dims ?? {}));
    for (const port of ports) bindGiven(shapeOf(port), given(port), dims);
    // The group that varies binds the shared names first.
    const order = [lead, ...groups.keys()].filter((group, i, all) => all.indexOf(group) === i);
    const found = new Map<string, Shape>();
    for (const group of order) {
      for (const port of groups[group] ?? []) {
        const shape = shapeOf(port);
        const guesses = shape === undefined ? UNKNOWN_RANK : guessesFor(port, shape);
        const guess = guesses[Math.min(picks[group]!, guesses.length - 1)]!;
        found.set(port.name, given(port) ?? (shape === undefined ? guess : fill(port, shape, guess, dims)));
      }
    }
    const shapes = Object.fromEntries(ports.map((port) => [port.name, found.get(port.name)!]));
    const key = JSON.stringify(shapes);
    if (seen.has(key)) continue;
    seen.add(key);
    yield { dims: Object.fromEntries(dims), shapes };
    if (seen.size >= MAX_CANDIDATES) return;
  }
}

function bindGiven(shape: readonly Dim[] | undefined, given: Shape | undefined, dims: Map<string, number>): void {
  if (given === undefined) return;
  shape?.forEach((dim, i) => {
    if (typeof dim === "string" && !dims.has(dim)) dims.set(dim, given[i]!);
  });
}

function checkOptions(ports: readonly Port[], { shapes = {}, dims = {} }: ShapeOptions): void {
  const fail = (subject: string, problem: string, allowed: readonly string[]): never => {
    const help = `The model has ${allowed.join(", ") || "none"}.`;
    throw new OptionError({ area: "data", subject, problem, help });
  };
  const symbols = ports.flatMap((port) => port.shape?.filter((dim) => typeof dim === "string" && dim !== "") ?? []);
  for (const [name, size] of Object.entries(dims)) {
    if (!symbols.includes(name))
      fail(`dimension "${name}"`, "expected a symbolic dimension of an input", symbols.map(String));
    if (!Number.isSafeInteger(size) || size < 0)
      fail(`dimension "${name}"`, `expected a size, got ${size}`, symbols.map(String));
  }
  for (const [name, shape] of Object.entries(shapes)) {
    const port = ports.find((item) => item.name === name);
    const names = ports.map((item) => item.name);
    if (port === undefined) fail(`shape of "${name}"`, "expected the name of an input", names);
    const wanted = port && normalizedShape(port);
    const sizes = shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0);
    const fits = wanted?.every((dim, i) => typeof dim !== "number" || dim === shape[i]) ?? true;
    if (!sizes || !fits || (wanted !== undefined && wanted.length !== shape.length)) {
      const text = wanted?.map((dim) => dim ?? "?").join(", ") ?? "…";
      fail(`shape of "${name}"`, `expected [${text}], got [${shape.join(", ")}]`, names);
    }
  }
}
