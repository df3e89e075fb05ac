/**
 * @file Measures one framework, or Tersor, with one net in a worker of a page, started by bench/peers/chromium.ts. In a worker, because
 * jax-js computes in workers of its own, and the system may give those more time than a page.
 */
import { measure } from "./measure.js";

async function tfjs({ backend, net, threads }) {
  await import("/js/node_modules/@tensorflow/tfjs/dist/tf.min.js");
  // Its bundles set a global.
  const tf = globalThis.tf;
  if (backend === "wasm") {
    await import("/js/node_modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js");
    tf.wasm.setWasmPaths("/js/node_modules/@tensorflow/tfjs-backend-wasm/dist/");
    tf.wasm.setThreadsCount(threads);
  }
  if (!(await tf.setBackend(backend))) throw new Error(`the backend ${backend} did not start`);
  await tf.ready();
  const { createTraining } = await import("./tfjs.js");
  return createTraining(tf, net);
}

async function jax({ backend, net, threads }) {
  // The only way to tell jax-js how many workers to start.
  Object.defineProperty(navigator, "hardwareConcurrency", { value: threads });
  const library = await import("/js/node_modules/@jax-js/jax/dist/index.js");
  const there = await library.init(backend);
  if (!there.includes(backend)) throw new Error(`the backend ${backend} did not start`);
  library.defaultDevice(backend);
  const { createTraining } = await import("./jax.js");
  return createTraining(library, net);
}

/** The step that Node has built, with the state in this page. */
async function tersor({ threads }) {
  const from = (path) => import(`/tersor/${path}.ts`);
  const [{ decodeFrame }, { webRuntime }, { createState }, { Tensor }, ort] = await Promise.all([
    from("runtime/browser/frame"),
    from("runtime/onnxruntime-web"),
    from("runtime/stateful"),
    from("tensor/tensor"),
    import("/ort/ort.wasm.min.mjs"),
  ]);
  ort.env.wasm.wasmPaths = new URL("/ort/", location.href).href;
  const response = await fetch("/program");
  const program = decodeFrame(new Uint8Array(await response.arrayBuffer()));
  const unpack = ({ dtype, dims, bytes }) => Tensor.of(dtype, dims, new Uint8Array(bytes));
  const state = await createState(
    webRuntime(ort, "wasm"),
    program.state.map((slot) => ({ ...slot, initial: unpack(slot.initial) })),
  );
  const session = await state.load({ bytes: program.bytes }, { ...program.options, threads });
  const feeds = Object.fromEntries(Object.entries(program.feeds).map(([name, tensor]) => [name, unpack(tensor)]));
  return {
    parameters: program.parameters,
    step: async () => (await session.step(feeds))[program.loss].floats()[0],
  };
}

const CREATE = { tfjs, jax, tersor };

async function run(spec) {
  const training = await CREATE[spec.library](spec);
  const processorTime = async () => (await (await fetch("/processor-time")).json()).ms;
  return { ...(await measure(training.step, spec, processorTime)), parameters: training.parameters };
}

addEventListener("message", ({ data }) => {
  run(data).then(
    (result) => postMessage({ result }),
    (error) => postMessage({ error: String(error?.message ?? error) }),
  );
});
