// A network of an opened bundle, in the visitor's own browser: `spec` is what networks.py says of it.

const absolute = (spec) =>
  Object.fromEntries(
    Object.entries(spec).map(([part, address]) => [part, new URL(address, window.location.origin).href])
  );

export const runsNetworks = () => typeof WebAssembly === "object" && typeof Worker === "function";

export const openNetwork = (spec) => {
  const worker = new Worker(new URL("./network_worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let count = 0;

  let closed = false;
  const ask = (message) =>
    new Promise((resolve, reject) => {
      if (closed) return reject(new Error("closed"));
      waiting.set(++count, { resolve, reject });
      worker.postMessage({ id: count, ...message });
    });
  const giveUp = (why) => {
    for (const { reject } of waiting.values()) reject(new Error(why));
    waiting.clear();
  };

  worker.onmessage = ({ data: { id, found, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(found);
  };
  worker.onerror = (event) => giveUp(event.message);

  return {
    ready: ask({ spec: absolute(spec) }),
    // Its first output, a typed array; `feeds` are type, data and dims by name.
    run: (feeds) => ask({ feeds }),
    close() {
      closed = true;
      worker.terminate(); // with its runtime and weights
      giveUp("closed");
    },
  };
};
