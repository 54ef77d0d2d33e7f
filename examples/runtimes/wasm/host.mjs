// Node's part of the export in `module.rs`: sockets, files, clocks and randomness, and nothing of the protocol.
// usage: node host.mjs MODULE.wasm TARGET BANNER...  (ABYSSALE_API_KEY, ABYSSALE_BASE_URL, ABYSSALE_SIGNING_SECRET)
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import http from "node:http";

const [path, target, ...ids] = process.argv.slice(2);
const module = new WebAssembly.Module(fs.readFileSync(path));
if (WebAssembly.Module.imports(module).length > 0) throw new Error("the module imports something: it could do I/O");
const core = new WebAssembly.Instance(module).exports;
const inFlight = new Map();
let timer;

const now = () => Math.round(performance.timeOrigin + performance.now());

// Tells core what happened, does what it says, and returns the status that a delivery is to be answered with.
function tell(told) {
  for (const byte of Buffer.from(JSON.stringify([now(), Date.now(), told]))) core.push(byte);
  const said = Buffer.alloc(core.run());
  for (let index = 0; index < said.length; index += 1) said[index] = core.pull(index);
  const { outputs = [], timeout, reply, error } = JSON.parse(said);
  if (error) throw new Error(error);
  for (const { call, download, request, abort, notice, done } of outputs) {
    if (call !== undefined) send(call, request, collect(call));
    if (download !== undefined) send(download, request, store(download));
    if (abort !== undefined) inFlight.get(abort)?.destroy();
    if (notice) console.error(notice);
    if (done) end(done);
  }
  clearTimeout(timer);
  if (timeout) timer = setTimeout(() => tell({ tick: {} }), Math.max(timeout - now(), 0));
  return reply;
}

// A request as it is, on a connection of its own; Node follows no redirects.
function send(call, { method, url, headers, body }, take) {
  let sent = false;
  const request = http.request(url, { method, headers: Object.fromEntries(headers), agent: false });
  inFlight.set(call, request);
  request.on("socket", (socket) => socket.on("connect", () => (sent = true)));
  request.on("error", (error) => tell(take.failed?.(error) ?? { unanswered: { call, sent, reason: error.message } }));
  request.on("response", take);
  request.end(body || undefined);
}

function collect(call) {
  return (response) => {
    const pieces = [];
    const answered = () => {
      const headers = Object.entries(response.headers).map(([name, value]) => [name, String(value)]);
      tell({ answered: { call, status: response.statusCode, headers, body: Buffer.concat(pieces).toString("latin1") } });
    };
    response.on("data", (piece) => pieces.push(piece));
    response.on("end", answered).on("error", answered);
  };
}

function store(call) {
  const interrupted = (error) => ({ interrupted: { call, reason: error.message } });
  const take = (response) => {
    if (response.statusCode !== 200) return collect(call)(response);
    const file = fs.openSync(`${target}.part`, "w+");
    let received = 0;
    response.on("data", (piece) => {
      received += fs.writeSync(file, piece);
      tell({ progress: { call, received } });
    });
    response.on("error", (error) => tell(interrupted(error)));
    response.on("end", () => {
      const ends = [Buffer.alloc(Math.min(received, 4)), Buffer.alloc(Math.min(received, 65557))];
      fs.readSync(file, ends[0], 0, ends[0].length, 0);
      fs.readSync(file, ends[1], 0, ends[1].length, received - ends[1].length);
      fs.closeSync(file);
      const [head, tail] = ends.map((end) => end.toString("latin1"));
      // It takes its name only once core has seen that it is an archive.
      if (tell({ ends: { call, head, tail, len: received } }) !== 200) return fs.rmSync(`${target}.part`);
      fs.renameSync(`${target}.part`, target);
      tell({ downloaded: { call, bytes: received } });
    });
  };
  return Object.assign(take, { failed: interrupted });
}

function end(done) {
  clearTimeout(timer);
  setImmediate(() => server.close());
  if (done.Err) process.exitCode = 1;
  console.log(JSON.stringify(done));
}

const server = http.createServer({ maxHeaderSize: 16384 }, (request, response) => {
  const pieces = [];
  let size = 0;
  request.on("data", (piece) => ((size += piece.length) > 1 << 20 ? request.destroy() : pieces.push(piece)));
  request.on("end", () => {
    const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
    const body = Buffer.concat(pieces).toString("latin1");
    const status = tell({ request: { method: request.method, target: request.url, headers, body } });
    response.writeHead(status, { connection: "close" }).end();
  });
});
server.listen(0, "127.0.0.1", () => {
  const { ABYSSALE_BASE_URL: base, ABYSSALE_API_KEY: key, ABYSSALE_SIGNING_SECRET: secret } = process.env;
  const callback = `http://127.0.0.1:${server.address().port}/abyssale`;
  tell({ start: { base, key, secret, callback, token: randomBytes(16).toString("hex"), ids } });
});
