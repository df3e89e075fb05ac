/**
 * @file Fixtures of passes: text files `fixtures/<pass>/<case>.txt` with the sections why, options, test, before, after.
 *
 * `options` (JSON) are the pass's options; `test` (JSON) says how the fixture is run. Without `after` the pass must leave
 * the model unchanged. Models are ONNX's textual syntax; one that does not begin with `<` gets IR version 8, opset 17.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fromOnnx } from "../../src/graph/from-onnx.ts";
import type { Model } from "../../src/graph/model.ts";
import { parseModel } from "../../src/onnx/text.ts";

export interface FixtureTest {
  /** Largest difference of outputs, relative to the largest element. Default 0: the same bits. */
  readonly tolerance?: number;
  /** Parts of reasons that the report must have, by the name of what was left alone. */
  readonly leftAlone?: Readonly<Record<string, string>>;
  /** Sizes of symbolic dimensions. */
  readonly dims?: Readonly<Record<string, number>>;
  /** Indices among the inputs are below this number. Default 32. */
  readonly vocabulary?: number;
  /** Why ONNX Runtime is not asked: for models that it does not load. */
  readonly notRun?: string;
}

export interface Fixture {
  readonly pass: string;
  readonly name: string;
  readonly why: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly test: FixtureTest;
  before(): Model;
  /** Undefined where the pass must change nothing. */
  readonly after: (() => Model) | undefined;
}

const FOLDER = new URL("./fixtures/", import.meta.url);
const SECTIONS = ["why", "options", "test", "before", "after"];
const HEADER = '<ir_version: 8, opset_import: ["": 17]>';

export function readFixtures(): Fixture[] {
  return readdirSync(FOLDER).flatMap((pass) =>
    readdirSync(new URL(`${pass}/`, FOLDER)).map((file) => {
      const text = readFileSync(new URL(`${pass}/${file}`, FOLDER), "utf8");
      return parseFixture(pass, file.replace(/\.txt$/, ""), text);
    }),
  );
}

function parseFixture(pass: string, name: string, text: string): Fixture {
  const sections = new Map<string, string>();
  for (const part of text.split(/^--- /m).slice(1)) {
    const end = part.indexOf("\n");
    const title = part.slice(0, end).trim();
    if (!SECTIONS.includes(title) || sections.has(title)) throw new Error(`${pass}/${name}: section "${title}"`);
    sections.set(title, part.slice(end).trim());
  }
  const why = sections.get("why");
  const before = sections.get("before");
  const after = sections.get("after");
  if (!why || !before) throw new Error(`${pass}/${name}: expected the sections why and before`);
  const model = (source: string): Model =>
    fromOnnx(parseModel(source.startsWith("<") ? source : `${HEADER} ${source}`));
  return {
    pass,
    name,
    why,
    options: JSON.parse(sections.get("options") ?? "{}"),
    test: JSON.parse(sections.get("test") ?? "{}"),
    before: () => model(before),
    after: after === undefined ? undefined : () => model(after),
  };
}
