/**
 * @file ONNX's textual syntax to messages: for fixtures, examples and small models by hand.
 * Source: onnx/docs/Syntax.md, onnx/defs/parser.cc (ONNX 1.23); `onnx.parser.parse_model` reads the same texts.
 *
 * Where we differ, on purpose:
 * - `= random(SEED)` fills a float tensor with normal numbers of standard deviation 0.1 from our seeded generator
 * - element counts, ranges and integers are checked; sub-byte types are packed as the specification says
 * - 16-bit floats may be written as values (`1.0`); lists of tensors, graphs and types are kept
 * - contents go to `raw_data`
 */
import {
  ATTRIBUTE_TYPE,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type OperatorSetIdProto,
  type TensorProto,
  type ValueInfoProto,
} from "./messages.ts";
import { type Literal, literalNumber, Scanner } from "./text-scanner.ts";
import { MAX_TEXT_DEPTH, nextIsType, readEntries, readList, readTensor, readType } from "./text-values.ts";
import { encodeString } from "./wire.ts";

export { printModel } from "./text-print.ts";

/**
 * Reads a model: `<ir_version: 8, opset_import: ["" : 17]> name (float[N, 3] x) => (float[N] y) { y = Op(x) }`.
 * @throws FormatError with line and column.
 */
export function parseModel(text: string): ModelProto {
  return new Parser(text).model();
}

/** Reads a graph alone: `name (float[N, 3] x) => (float[N] y) { … }`. */
export function parseGraph(text: string): GraphProto {
  const parser = new Parser(text);
  const graph = parser.graph();
  parser.end();
  return graph;
}

const ATTRIBUTE_WORDS: Readonly<Record<string, number>> = {
  float: ATTRIBUTE_TYPE.float,
  int: ATTRIBUTE_TYPE.int,
  string: ATTRIBUTE_TYPE.string,
  tensor: ATTRIBUTE_TYPE.tensor,
  graph: ATTRIBUTE_TYPE.graph,
  sparse_tensor: ATTRIBUTE_TYPE.sparseTensor,
  type_proto: ATTRIBUTE_TYPE.typeProto,
  floats: ATTRIBUTE_TYPE.floats,
  ints: ATTRIBUTE_TYPE.ints,
  strings: ATTRIBUTE_TYPE.strings,
  tensors: ATTRIBUTE_TYPE.tensors,
  graphs: ATTRIBUTE_TYPE.graphs,
  sparse_tensors: ATTRIBUTE_TYPE.sparseTensors,
  type_protos: ATTRIBUTE_TYPE.typeProtos,
};

/** The list type of each single attribute type that lists can have. */
const LIST_OF: Readonly<Record<number, number>> = {
  [ATTRIBUTE_TYPE.float]: ATTRIBUTE_TYPE.floats,
  [ATTRIBUTE_TYPE.int]: ATTRIBUTE_TYPE.ints,
  [ATTRIBUTE_TYPE.string]: ATTRIBUTE_TYPE.strings,
  [ATTRIBUTE_TYPE.tensor]: ATTRIBUTE_TYPE.tensors,
  [ATTRIBUTE_TYPE.graph]: ATTRIBUTE_TYPE.graphs,
  [ATTRIBUTE_TYPE.typeProto]: ATTRIBUTE_TYPE.typeProtos,
};

type Single = Pick<AttributeProto, "type" | "f" | "i" | "s" | "t" | "g" | "tp" | "refAttrName">;

class Parser {
  readonly #scanner: Scanner;
  #depth = 0;

  constructor(text: string) {
    this.#scanner = new Scanner(text);
  }

  end(): void {
    if (!this.#scanner.atEnd) throw this.#scanner.fail("the end of the text");
  }

  model(): ModelProto {
    const s = this.#scanner;
    const model: ModelProto = {};
    if (s.takes("<")) {
      this.#header({
        ir_version: () => (model.irVersion = s.integer("an IR version")),
        opset_import: () => (model.opsetImport = this.#opsets()),
        producer_name: () => (model.producerName = s.string()),
        producer_version: () => (model.producerVersion = s.string()),
        domain: () => (model.domain = s.string()),
        model_version: () => (model.modelVersion = BigInt(s.integer("a model version"))),
        doc_string: () => (model.docString = s.string()),
        metadata_props: () => (model.metadataProps = readEntries(s)),
      });
    }
    model.graph = this.graph();
    const functions: FunctionProto[] = [];
    while (!s.atEnd) functions.push(this.#function());
    return { ...model, ...(functions.length > 0 && { functions }) };
  }

  graph(name = this.#scanner.name("the name of a graph")): GraphProto {
    this.#enter();
    const initializer: TensorProto[] = [];
    const input = this.#valueInfos("(", ")", (info) => {
      const tensor = this.#initializer(info);
      if (tensor !== undefined) initializer.push(tensor);
      return true;
    });
    this.#scanner.expect("=>");
    const output = this.#valueInfos("(", ")");
    const valueInfo =
      this.#scanner.peek() !== "<"
        ? []
        : this.#valueInfos("<", ">", (info) => {
            const tensor = this.#initializer(info);
            if (tensor !== undefined) initializer.push(tensor);
            return tensor === undefined;
          });
    const node = this.#nodes();
    this.#depth--;
    return {
      ...(node.length > 0 && { node }),
      name,
      ...(initializer.length > 0 && { initializer }),
      ...(input.length > 0 && { input }),
      ...(output.length > 0 && { output }),
      ...(valueInfo.length > 0 && { valueInfo }),
    };
  }

  #enter(): void {
    if (++this.#depth > MAX_TEXT_DEPTH)
      throw this.#scanner.problem(`expected at most ${MAX_TEXT_DEPTH} nested graphs, got more`);
  }

  #header(readers: Readonly<Record<string, () => unknown>>): void {
    const s = this.#scanner;
    const known = Object.keys(readers).join(", ");
    readList(this.#scanner, ">", () => {
      const at = s.skipBlank();
      const key = s.identifier(`one of ${known}`);
      if (!Object.hasOwn(readers, key)) throw s.fail(`one of ${known}`, at);
      s.expect(":");
      readers[key]!();
    });
  }

  #opsets(): OperatorSetIdProto[] {
    const s = this.#scanner;
    s.expect("[");
    return readList(this.#scanner, "]", () => {
      const domain = s.string();
      s.expect(":");
      const version = s.integer("a version");
      return domain === "" ? { version } : { domain, version };
    });
  }

  #valueInfos(open: string, close: string, keep?: (info: ValueInfoProto) => boolean): ValueInfoProto[] {
    this.#scanner.expect(open);
    const infos = readList(this.#scanner, close, () => {
      const type = nextIsType(this.#scanner) ? readType(this.#scanner) : undefined;
      const info: ValueInfoProto = { name: this.#scanner.name("a name"), ...(type && { type }) };
      return keep === undefined || keep(info) ? info : undefined;
    });
    return infos.filter((info) => info !== undefined);
  }

  #initializer(info: ValueInfoProto): TensorProto | undefined {
    if (!this.#scanner.takes("=")) return undefined;
    return readTensor(this.#scanner, info.type ?? {}, info.name);
  }

  #nodes(): NodeProto[] {
    this.#scanner.expect("{");
    const nodes: NodeProto[] = [];
    while (!this.#scanner.takes("}")) nodes.push(this.#node());
    return nodes;
  }

  #node(): NodeProto {
    const s = this.#scanner;
    const name = s.takes("[") ? this.#label() : undefined;
    const output = this.#names();
    s.expect("=");
    const path = [s.identifier("an operator")];
    while (s.takes(".")) path.push(s.identifier("an operator"));
    const overload = s.takes(":") ? s.identifier("an overload") : undefined;
    let attribute = s.peek() === "<" ? this.#attributes() : [];
    s.expect("(");
    const input = this.#names();
    s.expect(")");
    if (attribute.length === 0 && s.peek() === "<") attribute = this.#attributes();
    const domain = path.slice(0, -1).join(".");
    return {
      ...(input.length > 0 && { input }),
      ...(output.length > 0 && { output }),
      ...(name && { name }),
      opType: path.at(-1)!,
      ...(domain && { domain }),
      ...(overload && { overload }),
      ...(attribute.length > 0 && { attribute }),
    };
  }

  #label(): string | undefined {
    const name = this.#scanner.optionalName();
    this.#scanner.expect("]");
    return name;
  }

  /** Names where any may be left out: `(x, , w)`. A comma at the end means nothing. */
  #names(): string[] {
    const s = this.#scanner;
    const names: string[] = [];
    for (;;) {
      const name = s.optionalName() ?? (s.peek() === "," ? "" : undefined);
      if (name === undefined) return names;
      names.push(name);
      if (!s.takes(",")) return names;
    }
  }

  #attributes(): AttributeProto[] {
    this.#scanner.expect("<");
    return readList(this.#scanner, ">", () => this.#attribute(this.#scanner.identifier("an attribute")));
  }

  #attribute(name: string): AttributeProto {
    const s = this.#scanner;
    let declared: number | undefined;
    if (s.takes(":")) {
      const at = s.skipBlank();
      const word = s.identifier("an attribute type");
      declared = Object.hasOwn(ATTRIBUTE_WORDS, word) ? ATTRIBUTE_WORDS[word] : undefined;
      if (declared === undefined) throw s.fail(`one of ${Object.keys(ATTRIBUTE_WORDS).join(", ")}`, at);
    }
    s.expect("=");
    const at = s.skipBlank();
    if (!s.takes("[")) {
      const single = this.#single(declared);
      if (declared !== undefined && single.type !== declared) throw s.fail("a value of the declared type", at);
      return { name, ...single };
    }
    const items = readList(this.#scanner, "]", () => this.#single(singleType(declared)));
    const type = declared ?? (items.length > 0 ? LIST_OF[items[0]!.type!] : undefined);
    if (type === undefined) throw s.problem("expected a declared type (name: ints = []) for an empty list", at);
    if (items.some((item) => LIST_OF[item.type!] !== type) || singleType(type) === type) {
      throw s.problem("expected a list of values of one type, the declared one", at);
    }
    return { name, type, ...listFields(type, items) };
  }

  #single(declared: number | undefined): Single {
    const s = this.#scanner;
    if (s.takes("@")) {
      return { ...(declared !== undefined && { type: declared }), refAttrName: s.name("an attribute of the function") };
    }
    const literal = s.optionalLiteral();
    if (literal?.kind === "string" && s.peek() === "(") {
      return { type: ATTRIBUTE_TYPE.graph, g: this.graph(literal.text) };
    }
    if (literal !== undefined) return literalAttribute(literal, declared);
    if (!nextIsType(this.#scanner)) return { type: ATTRIBUTE_TYPE.graph, g: this.graph() };
    const type = readType(this.#scanner);
    const next = s.peek();
    const isTensor = next === "{" || next === "=" || next === '"' || s.peekIdentifier() !== undefined;
    if (!isTensor) return { type: ATTRIBUTE_TYPE.typeProto, tp: type };
    const name = s.peekIdentifier() === "random" ? undefined : s.optionalName();
    s.takes("=");
    return { type: ATTRIBUTE_TYPE.tensor, t: readTensor(this.#scanner, type, name) };
  }

  #function(): FunctionProto {
    const s = this.#scanner;
    const fn: FunctionProto = {};
    if (s.takes("<")) {
      this.#header({
        opset_import: () => (fn.opsetImport = this.#opsets()),
        doc_string: () => (fn.docString = s.string()),
        domain: () => (fn.domain = s.string()),
        overload: () => (fn.overload = s.string()),
      });
    }
    fn.name = s.name("the name of a function");
    const attribute: string[] = [];
    const attributeProto: AttributeProto[] = [];
    if (s.takes("<")) {
      readList(this.#scanner, ">", () => {
        const name = s.name("an attribute");
        if (s.peek() === ":" || s.peek() === "=") attributeProto.push(this.#attribute(name));
        else attribute.push(name);
      });
    }
    const input = this.#valueInfos("(", ")");
    s.expect("=>");
    const output = this.#valueInfos("(", ")");
    const more = s.peek() === "<" ? this.#valueInfos("<", ">") : [];
    const valueInfo = [...input, ...output, ...more].filter((info) => info.type !== undefined);
    const names = (infos: readonly ValueInfoProto[]): string[] => infos.map((info) => info.name ?? "");
    return {
      ...fn,
      ...(input.length > 0 && { input: names(input) }),
      ...(output.length > 0 && { output: names(output) }),
      ...(attribute.length > 0 && { attribute }),
      ...(attributeProto.length > 0 && { attributeProto }),
      node: this.#nodes(),
      ...(valueInfo.length > 0 && { valueInfo }),
    };
  }
}

function literalAttribute(literal: Literal, declared: number | undefined): Single {
  if (literal.kind === "string") return { type: ATTRIBUTE_TYPE.string, s: encodeString(literal.text) };
  if (literal.kind === "int" && declared !== ATTRIBUTE_TYPE.float) {
    return { type: ATTRIBUTE_TYPE.int, i: BigInt.asIntN(64, BigInt(literal.text)) };
  }
  return { type: ATTRIBUTE_TYPE.float, f: Math.fround(literalNumber(literal)) };
}

function singleType(type: number | undefined): number | undefined {
  if (type === undefined) return undefined;
  const single = Object.entries(LIST_OF).find(([, list]) => list === type)?.[0];
  return single === undefined ? type : Number(single);
}

function listFields(type: number, items: readonly Single[]): Partial<AttributeProto> {
  if (items.length === 0) return {};
  if (type === ATTRIBUTE_TYPE.floats) return { floats: items.map((item) => item.f!) };
  if (type === ATTRIBUTE_TYPE.ints) return { ints: items.map((item) => item.i!) };
  if (type === ATTRIBUTE_TYPE.strings) return { strings: items.map((item) => item.s!) };
  if (type === ATTRIBUTE_TYPE.tensors) return { tensors: items.map((item) => item.t!) };
  if (type === ATTRIBUTE_TYPE.graphs) return { graphs: items.map((item) => item.g!) };
  return { typeProtos: items.map((item) => item.tp!) };
}
