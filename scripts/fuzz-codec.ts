/**
 * @file Damages models at random and reads them: only errors of ours may come out, in bounded time, and what is read must
 * survive being written and read again. For use by hand: `npx tsx scripts/fuzz-codec.ts --seconds 60 --seed 1 [FILE…]`.
 * A finding is saved beside the system's temporary files, and the exit status is 1.
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { fromOnnx } from "../src/graph/from-onnx.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { decodeModel, decodeTensor } from "../src/onnx/decode.ts";
import { encodeModel, joinChunks } from "../src/onnx/encode.ts";
import { readFileBytes } from "../src/onnx/file-node.ts";
import { parseModel, printModel } from "../src/onnx/text.ts";
import { TersorError } from "../src/util/errors.ts";
import { createRandom, type Random } from "../src/util/random.ts";

/** One input of a few kilobytes takes far below a millisecond; a second means that something grew out of hand. */
const SLOW_MS = 1000;
const MAX_EDITS = 8;

const SEEDS = [
  `<ir_version: 8, opset_import: ["" : 17, "com.microsoft": 1], producer_name: "p", metadata_props: ["a": "b"]>
   g (float[N, 3] x, float[2] d = {1, 2}, seq(float[2]) q, map(int64, string[?]) m) => (float[N] y)
   <float[2, 2] v = {1, 2, -3, 0.1}, int64[2] i = {-1, 5}, string[2] s = {"a", "ü"}, int4[3] n = {1, 2, -3}, float[N] mid>
   { [first] mid = Conv <pads = [1, -1], alpha = 0.5, mode = "same", names = ["a", "b"], t = int8[3] {1, -2, 3}> (x, , d)
     y, , z = com.microsoft.FusedMatMul:o (mid, v) }
   <domain: "local", opset_import: ["" : 17]> f <a, b: int = 1> (x) => (y) { y = Relu <c = @a> (x) }`,
  `<ir_version: 8, opset_import: ["" : 17]> g (bool c, float[1] x) => (float[1] y) <float[1] w = {1}>
   { y = If (c) <then_branch = t () => (float[1] r) { r = Add(x, w) },
                 else_branch = e () => (float[1] s) { s = Loop (c, c, x) <body = b (int64 i, bool k, float[1] u) => (bool k2, float[1] v)
                   { k2 = Identity(k) v = Neg(u) }> }> }`,
  `<ir_version: 8, opset_import: ["" : 17]> g (float[1] x) => (float[1] y) <float[2] w = ["location": "w.bin", "offset": "4"]>
   { y = Relu(x) }`,
];

function mutate(input: Uint8Array, others: readonly Uint8Array[], random: Random): Uint8Array {
  let bytes = Uint8Array.from(input);
  // Most edits that move bytes break a length and end the reading there: single ones in place get further.
  const gentle = random.next() < 0.75;
  const edits = gentle ? 1 : 1 + random.integer(MAX_EDITS);
  for (let i = 0; i < edits && bytes.length > 0; i++) {
    const at = random.integer(bytes.length);
    const span = Math.min(1 + random.integer(16), bytes.length - at);
    switch (gentle ? random.integer(2) : random.integer(8)) {
      case 0:
        bytes[at] = random.integer(256);
        break;
      case 1:
        bytes[at]! ^= 1 << random.integer(8);
        break;
      case 2: // a huge length or number
        bytes.fill(0xff, at, at + span);
        break;
      case 3:
        bytes = bytes.slice(0, at);
        break;
      case 4:
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + span)]);
        break;
      case 5:
        bytes = Uint8Array.from([...bytes.subarray(0, at + span), ...bytes.subarray(at)]);
        break;
      case 6: {
        const other = others[random.integer(others.length)]!;
        const from = random.integer(other.length);
        bytes = Uint8Array.from([
          ...bytes.subarray(0, at),
          ...other.subarray(from, from + span),
          ...bytes.subarray(at),
        ]);
        break;
      }
      default:
        bytes[at] = bytes[random.integer(bytes.length)]!;
    }
  }
  return bytes;
}

const outcomes = new Map<string, number>();

function check(bytes: Uint8Array): void {
  const model = attempt("decode", () => decodeModel(bytes));
  attempt("tensor", () => decodeTensor(bytes));
  if (model === undefined) return;
  const again = decodeModel(joinChunks(encodeModel(model)));
  if (!isDeepStrictEqual(again, model)) throw new Error("decode → encode → decode differs");
  attempt("print", () => printModel(model));
  const graph = attempt("graph", () => fromOnnx(model));
  if (graph === undefined) return;
  attempt("sort", () => graph.graph.sort());
  const written = decodeModel(joinChunks(encodeModel(toOnnx(graph))));
  attempt("graph again", () => fromOnnx(written));
}

/** Errors of ours are fine, all others are findings. */
function attempt<T>(what: string, run: () => T): T | undefined {
  try {
    const result = run();
    outcomes.set(`${what} ok`, (outcomes.get(`${what} ok`) ?? 0) + 1);
    return result;
  } catch (error) {
    if (!(error instanceof TersorError)) throw error;
    outcomes.set(`${what} ${error.code}`, (outcomes.get(`${what} ${error.code}`) ?? 0) + 1);
    return undefined;
  }
}

function checkText(text: string, random: Random): void {
  const at = random.integer(text.length);
  const characters = '<>(){}[]=,:"@#.?-0a \\';
  const cut = random.integer(3);
  const insert = characters[random.integer(characters.length)]!;
  attempt("text", () => parseModel(text.slice(0, at) + insert.repeat(random.integer(3)) + text.slice(at + cut)));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "60" }, seed: { type: "string", default: "1" } },
});
const random = createRandom(Number(values.seed));
const corpus = [
  ...SEEDS.map((text) => joinChunks(encodeModel(parseModel(text)))),
  ...positionals.map((path) => readFileBytes(path)),
];
const end = performance.now() + Number(values.seconds) * 1000;
let count = 0;
let slowest = 0;
while (performance.now() < end) {
  const bytes = mutate(corpus[random.integer(corpus.length)]!, corpus, random);
  const start = performance.now();
  try {
    check(bytes);
    checkText(SEEDS[random.integer(SEEDS.length)]!, random);
    const took = performance.now() - start;
    slowest = Math.max(slowest, took);
    if (took > SLOW_MS) throw new Error(`took ${took.toFixed(0)} ms`);
  } catch (error) {
    const path = join(tmpdir(), `tersor-fuzz-${values.seed}-${count}.onnx`);
    writeFileSync(path, bytes);
    console.error(`finding ${count}, saved as ${path}:`, error);
    process.exitCode = 1;
    break;
  }
  count++;
}
console.log(`${count} inputs, seed ${values.seed}, slowest ${slowest.toFixed(1)} ms`);
for (const [outcome, times] of [...outcomes].sort()) console.log(`  ${outcome}: ${times}`);
