import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FormatError, InputError } from "../util/errors.ts";
import { encodeModel, joinChunks } from "./encode.ts";
import { readModelFile, writeFiles, writeModelFile } from "./file-node.ts";
import type { ModelProto, TensorProto } from "./messages.ts";
import { tensorFromProto } from "./tensor-proto.ts";
import { parseModel } from "./text.ts";

let folder: string;
let target: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tersor-file-"));
  target = join(folder, "model.onnx");
});

afterEach(() => {
  chmodSync(folder, 0o755);
  rmSync(folder, { recursive: true, force: true });
});

const MODEL = parseModel(`<ir_version: 8, opset_import: ["" : 17]> g (float[300] x) => (float[300] y)
  <float[300] w = random(1), float[300] v = random(2)> { t = Add(x, w) y = Add(t, v) }`);

const contents = (proto: TensorProto | undefined, external?: Parameters<typeof tensorFromProto>[1]): number[] => [
  ...tensorFromProto(proto!, external).bytes(),
];

describe("writeModelFile and readModelFile", () => {
  it("one file", () => {
    expect(writeModelFile(target, MODEL)).toEqual([
      { path: target, byteLength: joinChunks(encodeModel(MODEL)).byteLength },
    ]);
    expect(readModelFile(target).proto).toEqual(MODEL);
    expect(readdirSync(folder)).toEqual(["model.onnx"]);
  });

  it.each([
    ["one data file", {}, ["model.onnx", "model.onnx_data"]],
    ["chunks", { maxFileBytes: 2000 }, ["model.onnx", "model.onnx_data", "model.onnx_data_1"]],
    ["checksums", { checksums: true }, ["model.onnx", "model.onnx_data"]],
  ])("external data: %s", (_, options, names) => {
    const written = writeModelFile(target, MODEL, { externalData: true, ...options });
    expect(readdirSync(folder).sort()).toEqual(names);
    expect(written.map((file) => file.path)).toEqual(names.map((name) => join(folder, name)));
    const { proto, external } = readModelFile(target);
    proto.graph!.initializer!.forEach((tensor, i) => {
      expect(contents(tensor, external)).toEqual(contents(MODEL.graph!.initializer![i]));
    });
    if ("checksums" in options) {
      writeFileSync(join(folder, "model.onnx_data"), new Uint8Array(4096 + 1200));
      const again = readModelFile(target);
      expect(() => contents(again.proto.graph!.initializer![0], again.external)).toThrow(/SHA-1/);
    }
  });

  it.each([
    ["nothing there", () => {}, InputError, /found nothing there/],
    ["a folder", () => mkdirSync(target), InputError, /got a folder/],
    ["an empty file", () => writeFileSync(target, ""), FormatError, /empty file/],
    ["text", () => writeFileSync(target, "hello"), FormatError, /model\.onnx/],
  ])("%s instead of a model", (_, prepare, type, message) => {
    prepare();
    expect(() => readModelFile(target)).toThrow(type);
    expect(() => readModelFile(target)).toThrow(message);
  });
});

/** A model with one tensor of eight bytes at `location`. */
function referring(location: string, offset = "0"): ModelProto {
  const externalData = [
    { key: "location", value: location },
    { key: "offset", value: offset },
  ];
  const initializer = [{ name: "w", dataType: 2, dims: [8], dataLocation: 1, externalData }];
  return { irVersion: 8, graph: { name: "g", initializer } };
}

describe("external data outside the model's folder", () => {
  let inside: string;

  beforeEach(() => {
    inside = join(folder, "models");
    mkdirSync(join(inside, "sub"), { recursive: true });
    writeFileSync(join(folder, "secret.bin"), "12345678");
    writeFileSync(join(inside, "sub", "w.bin"), "abcdefgh");
    symlinkSync(join(folder, "secret.bin"), join(inside, "link.bin"));
    symlinkSync(folder, join(inside, "linked"));
    symlinkSync(join(inside, "sub", "w.bin"), join(inside, "fine.bin"));
  });

  const read = (location: string, allowOutside = false): string => {
    const path = join(inside, "model.onnx");
    writeFileSync(path, joinChunks(encodeModel(referring(location))));
    const { proto, external } = readModelFile(path, { allowOutside });
    return Buffer.from(contents(proto.graph!.initializer![0], external)).toString();
  };

  it.each(["sub/w.bin", "./sub/w.bin", "fine.bin"])("%s lies inside", (location) => {
    expect(read(location)).toBe("abcdefgh");
  });

  it.each([
    ["../secret.bin", /"\.\."/],
    ["sub/../../secret.bin", /"\.\."/],
    ["sub/../sub/w.bin", /"\.\."/],
    ["..\\secret.bin", /"\.\."/],
    ["C:\\secret.bin", /absolute/],
    ["link.bin", /link/],
    ["linked/secret.bin", /link/],
  ])("%s is refused", (location, message) => {
    expect(() => read(location)).toThrow(InputError);
    expect(() => read(location)).toThrow(message);
  });

  it("absolute paths are refused", () => {
    expect(() => read(join(folder, "secret.bin"))).toThrow(/absolute/);
    expect(() => read("/etc/passwd")).toThrow(/absolute/);
  });

  it("all of them may be read where that is allowed", () => {
    for (const location of ["../secret.bin", "link.bin", "linked/secret.bin", join(folder, "secret.bin")]) {
      expect(read(location, true)).toBe("12345678");
    }
  });

  it("a missing file, a folder and a file that is too short are named", () => {
    expect(() => read("nothing.bin")).toThrow(/nothing\.bin/);
    expect(() => read("sub")).toThrow(/sub/);
    writeFileSync(join(inside, "short.bin"), "123");
    expect(() => read("short.bin")).toThrow(/file of 3 bytes/);
  });
});

const OLD = "the old file";

function failing(message = "no more data"): TensorProto {
  const bytes = (): never => {
    throw new Error(message);
  };
  return { name: "w", dataType: 2, dims: [1e5], rawData: { byteLength: 1e5, bytes } };
}

describe("writing leaves the old file or the new one", () => {
  it("when the contents cannot be computed", () => {
    writeFileSync(target, OLD);
    const model: ModelProto = { irVersion: 8, graph: { initializer: [failing()] } };
    expect(() => writeModelFile(target, model)).toThrow(/no more data/);
    expect(() => writeModelFile(target, model, { externalData: true })).toThrow(/no more data/);
    expect(readFileSync(target, "utf8")).toBe(OLD);
    expect(readdirSync(folder)).toEqual(["model.onnx"]);
  });

  it("when the target is a folder", () => {
    mkdirSync(target);
    expect(() => writeModelFile(target, MODEL)).toThrow(InputError);
    expect(() => writeModelFile(target, MODEL)).toThrow(/got a folder/);
    expect(readdirSync(folder)).toEqual(["model.onnx"]);
  });

  it("when the second of two files is a folder", () => {
    writeFileSync(target, OLD);
    mkdirSync(`${target}_data`);
    expect(() => writeModelFile(target, MODEL, { externalData: true })).toThrow(/got a folder/);
    expect(readFileSync(target, "utf8")).toBe(OLD);
    expect(readdirSync(folder).sort()).toEqual(["model.onnx", "model.onnx_data"]);
  });

  it.skipIf(process.getuid?.() === 0)("when the folder may not be written", () => {
    writeFileSync(target, OLD);
    chmodSync(folder, 0o555);
    expect(() => writeModelFile(target, MODEL)).toThrow(/permission denied/);
    chmodSync(folder, 0o755);
    expect(readFileSync(target, "utf8")).toBe(OLD);
  });

  it("when a part of the path is a file, or nothing can be made there", () => {
    writeFileSync(target, OLD);
    expect(() => writeModelFile(join(target, "inner.onnx"), MODEL)).toThrow(InputError);
    if (existsSync("/proc/self")) expect(() => writeModelFile("/proc/tersor/model.onnx", MODEL)).toThrow(InputError);
    expect(readFileSync(target, "utf8")).toBe(OLD);
  });

  it("makes folders that are missing, and replaces what is there", () => {
    const deep = join(folder, "a", "b", "model.onnx");
    writeFiles([{ path: deep, chunks: [Buffer.from("one")] }]);
    writeFiles([{ path: deep, chunks: [Buffer.from("two")] }]);
    expect(readFileSync(deep, "utf8")).toBe("two");
    expect(readdirSync(join(folder, "a", "b"))).toEqual(["model.onnx"]);
  });

  it("when the process is killed in the middle of writing", async () => {
    writeFileSync(target, OLD);
    const script = join(folder, "child.mts");
    const module = fileURLToPath(new URL("./file-node.ts", import.meta.url));
    // The third chunk never comes: by then two are in the temporary file.
    writeFileSync(
      script,
      `import { writeSync } from "node:fs";
       import { writeFiles } from ${JSON.stringify(module)};
       const wait = { byteLength: 4, bytes() { writeSync(1, "writing"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); } };
       writeFiles([{ path: ${JSON.stringify(target)}, chunks: [new Uint8Array(1e6), new Uint8Array(1e6), wait] }]);`,
    );
    const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), script]);
    const ended = new Promise((resolve) => child.on("exit", resolve));
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const temporary = readdirSync(folder).filter((name) => name.includes(".tmp-"));
    expect(temporary).toHaveLength(1);
    child.kill("SIGKILL");
    await ended;
    expect(readFileSync(target, "utf8")).toBe(OLD);
    writeModelFile(target, MODEL);
    expect(readModelFile(target).proto).toEqual(MODEL);
  });
});
