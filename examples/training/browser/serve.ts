/**
 * @file Serves the page that trains: `npm run -s train:browser`, then open what it prints.
 */
import { parseArgs } from "node:util";
import { startExampleServer } from "./server.ts";

const { values: flags } = parseArgs({
  options: {
    port: { type: "string", default: "5180" },
    /** "0.0.0.0": other devices, too; over plain HTTP their browsers give WASM one thread. */
    host: { type: "string", default: "127.0.0.1" },
  },
});

const { url } = await startExampleServer({ port: Number(flags.port), host: flags.host });
console.log(`Training in the browser: ${url}   (Ctrl-C ends it)`);
