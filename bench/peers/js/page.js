/**
 * @file Measures one framework, or Tersor, with one net in a page. Runs in the browser; bench/peers/chromium.ts serves it.
 */
import { measure } from "./measure.js";

/** Frameworks whose bundles set a global. */
function script(url) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = url;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`${url} did not load`));
    document.head.append(element);
  });
}

async function tfjs({ backend, net, threads }) {
  await script("/js/node_modules/@tensorflow/tfjs/dist/tf.min.js");
  const tf = globalThis.tf;
  if (backend === "wasm") {
    await script("/js/node_modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js");
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

export async function run(spec) {
  const training = await CREATE[spec.library](spec);
  return { ...(await measure(training.step, spec)), parameters: training.parameters };
}
