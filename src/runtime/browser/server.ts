/**
 * @file A small web server whose page runs models for this process: for a browser that is driven, and for any device that
 * opens the URL. Its headers make the page cross-origin isolated, so that WASM may have threads; everything is below a
 * random path, so that nobody else in the network gets the models by trying the port.
 */
import { randomBytes } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { InputError, messageOf } from "../../util/errors.ts";
import type { Host } from "../runtime.ts";
import { type Device, PageDevice } from "./device.ts";
import { ENDING, findOrt, moduleFile, ortFile, type ServedFile } from "./files.ts";
import { eventsPath, failedPath, HELLO_PATH, leftPath, MODULES_PATH, nextPath, ORT_PATH } from "./messages.ts";
import { pageHtml } from "./page-html.ts";

export interface ServerOptions {
  /** The address to listen on. Default "127.0.0.1": this machine only; "0.0.0.0": every network that it is in. */
  readonly host?: string;
  /** Default 0: any that is free. */
  readonly port?: number;
  /** A certificate and its key, in PEM: the server then speaks HTTPS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** A folder of another onnxruntime-web. Default: the installed package. */
  readonly ortWeb?: string;
}

export interface PageServer {
  readonly port: number;
  /** The page's URL under a name or address of this machine. */
  url(host: string): string;
  /** The next page that says hello; each is given once. */
  nextDevice(signal?: AbortSignal): Promise<Device>;
  /** Tells the pages, and ends every connection. */
  close(): Promise<void>;
}

/** Characters that nobody confuses when typing a URL on a phone. */
const LETTERS = "abcdefghjkmnpqrstuvwxyz23456789";

/** Bytes of a request from a page: outputs of a model. */
const LARGEST_BODY = 2 ** 31;

const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
} as const;

/** @throws InputError where the port is taken or the certificate is none; UnsupportedError without onnxruntime-web. */
export async function startPageServer(options: ServerOptions = {}): Promise<PageServer> {
  const ort = findOrt(options.ortWeb);
  // A byte over 31 letters: the first ones come a little more often, which costs less than a bit of 39.
  const key = [...randomBytes(8)].map((byte) => LETTERS[byte % LETTERS.length]).join("");
  const devices: PageDevice[] = [];
  const arrived: PageDevice[] = [];
  const waiting: ((device: PageDevice) => void)[] = [];

  const file = async (path: string): Promise<ServedFile | undefined> => {
    if (path === "")
      return { type: "text/html; charset=utf-8", body: pageHtml(`${MODULES_PATH}runtime/browser/page${ENDING}`) };
    if (path.startsWith(ORT_PATH)) return ortFile(ort, path.slice(ORT_PATH.length));
    if (path.startsWith(MODULES_PATH)) return moduleFile(path.slice(MODULES_PATH.length));
    return undefined;
  };
  const workerOf = (path: string, of: (worker: number) => string): PageDevice | undefined => {
    const worker = Number(/\d+$/.exec(path)?.[0]);
    return path === of(worker) ? devices.find((device) => device.has(worker)) : undefined;
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const prefix = `/${key}/`;
    const path = pathname.startsWith(prefix) ? pathname.slice(prefix.length) : undefined;
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    if (path === undefined) return void response.writeHead(404).end("Open the whole URL that Tersor printed.");
    if (request.method === "GET") {
      const device = devices.find(({ id }) => path === eventsPath(id));
      if (device !== undefined) return device.listen(response);
      const found = await file(path);
      if (found === undefined) return void response.writeHead(404).end();
      return void response.writeHead(200, { "Content-Type": found.type }).end(found.body);
    }
    if (request.method !== "POST") return void response.writeHead(405).end();
    const number = Number(/\d+$/.exec(path)?.[0]);
    if (path === HELLO_PATH) {
      const host = JSON.parse((await readBody(request)).toString("utf8")) as Host;
      const device = new PageDevice(devices.length, host);
      devices.push(device);
      const next = waiting.shift();
      if (next === undefined) arrived.push(device);
      else next(device);
      return void response
        .writeHead(200, { "Content-Type": "application/json" })
        .end(JSON.stringify({ device: device.id }));
    }
    const leaving = devices.find(({ id }) => path === leftPath(id));
    if (leaving !== undefined) {
      leaving.lose("the page was closed");
      return void response.writeHead(204).end();
    }
    const taking = workerOf(path, nextPath);
    if (taking !== undefined) return taking.exchange(number, await readBody(request), response);
    const failing = workerOf(path, failedPath);
    failing?.fail(number, (await readBody(request)).toString("utf8"));
    // A worker that has ended gets to know it here.
    response.writeHead(failing === undefined ? 410 : 204).end();
  };
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(400);
      response.end(messageOf(error));
    });
  };

  const server = await listen(handle, options);
  const { port } = server.address() as AddressInfo;
  // A page keeps connections open that never end by themselves.
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  return {
    port,
    url: (name) => `${options.tls ? "https" : "http"}://${name.includes(":") ? `[${name}]` : name}:${port}/${key}/`,
    nextDevice(signal) {
      const device = arrived.shift();
      if (device !== undefined) return Promise.resolve(device);
      return new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const abort = (): void => {
          waiting.splice(waiting.indexOf(take), 1);
          reject(signal?.reason);
        };
        const take = (next: PageDevice): void => {
          signal?.removeEventListener("abort", abort);
          resolve(next);
        };
        signal?.addEventListener("abort", abort, { once: true });
        waiting.push(take);
      });
    },
    async close() {
      for (const device of devices) device.close();
      await new Promise((resolve) => {
        server.close(resolve);
        // Farewells are on their way.
        setTimeout(() => sockets.forEach((socket) => void socket.destroy()), 50);
      });
    },
  };
}

function listen(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  { host = "127.0.0.1", port = 0, tls }: ServerOptions,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const fail = (problem: string, help: string) => (error: unknown) =>
      reject(
        new InputError({
          area: "serve",
          subject: `${host}:${port}`,
          problem: `${problem}: ${messageOf(error)}`,
          help,
          cause: error,
        }),
      );
    let server: Server;
    try {
      server = tls ? createHttpsServer({ ...tls }, handle) : createHttpServer(handle);
    } catch (error) {
      return fail("expected a certificate and its key in PEM, got", "See docs/browser.md.")(error);
    }
    // Large outputs over a slow network take their time.
    server.requestTimeout = 0;
    server.once("error", fail("expected a port that is free, got", "Give another one with --port."));
    server.listen(port, host, () => resolve(server));
  });
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > LARGEST_BODY) throw new Error("more than 2 GiB in one message");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
