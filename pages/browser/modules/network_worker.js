// Runs one network by ONNX Runtime Web, next to the page: the hand never waits for a picture.

import { fetched } from "./fetched.js";
import { weightsOf } from "./safetensors.js";

const ERRORS = 3; // what the runtime could not simplify is no visitor's concern

let ort, session;

const load = async ({ runtime, graph, weights }) => {
  let model, bundle;
  [ort, model, bundle] = await Promise.all([import(runtime), fetched(graph), fetched(weights)]);
  ort.env.wasm.numThreads = 1; // more need headers that would shut out other sites' frames
  ort.env.wasm.wasmPaths = new URL("./", runtime).href;
  session = await ort.InferenceSession.create(new Uint8Array(model), {
    externalData: weightsOf(bundle),
    logSeverityLevel: ERRORS,
  });
};

// `feeds`: type, data and dims by name. Gives the network's first output.
const run = async (feeds) => {
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)])
  );
  const outputs = await session.run(tensors);
  return outputs[session.outputNames[0]].data;
};

self.onmessage = async ({ data: { id, spec, feeds } }) => {
  try {
    const found = spec ? await load(spec) : await run(feeds);
    self.postMessage({ id, found }, found ? [found.buffer] : []);
  } catch (error) {
    self.postMessage({ id, error: String(error) });
  }
};
