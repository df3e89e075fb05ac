/**
 * @file Measures one framework with one net in Node:
 * `node bench/peers/js/node.js '{"library":"tfjs","backend":"wasm","net":"mlp","seconds":6,"limit":20}'`.
 * The last line of its output is the result.
 */
import { createRequire } from "node:module";
import { measure } from "./measure.js";

const require = createRequire(import.meta.url);
const spec = JSON.parse(process.argv[2]);

async function tfjs() {
  const { createTraining } = await import("./tfjs.js");
  const tf = await import(spec.backend === "tensorflow" ? "@tensorflow/tfjs-node" : "@tensorflow/tfjs");
  if (spec.backend === "wasm") await import("@tensorflow/tfjs-backend-wasm");
  if (!(await tf.setBackend(spec.backend))) throw new Error(`the backend ${spec.backend} did not start`);
  await tf.ready();
  return { training: createTraining(tf, spec.net), version: tf.version_core ?? tf.version.tfjs };
}

async function jax() {
  const { createTraining } = await import("./jax.js");
  const library = await import("@jax-js/jax");
  await library.init(spec.backend);
  library.defaultDevice(spec.backend);
  const { version } = require("./node_modules/@jax-js/jax/package.json");
  return { training: createTraining(library, spec.net), version };
}

const { training, version } = await (spec.library === "tfjs" ? tfjs() : jax());
const result = await measure(training.step, spec, async () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
});
console.log(JSON.stringify({ ...result, parameters: training.parameters, version }));
process.exit(0);
