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

// Bytes as JSON has them, and the header fields of Node's messages as core has them.
const bytes = (data) => [...Buffer.from(data, "latin1")];
const fields = (headers) => Object.entries(headers).map(([name, value]) => [name, bytes(String(value))]);

// Tells core what happened, does what it says, and returns what it has to say to that.
function tell(told) {
  for (const byte of Buffer.from(JSON.stringify([now(), Date.now(), told]))) core.push(byte);
  const { outputs, timeout, reply } = JSON.parse(Buffer.from(Array.from({ length: core.run() }, () => core.pull())));
  if (reply.Err) throw new Error(reply.Err);
  for (const { call, download, request, abort, notice, done } of outputs) {
    if (call !== undefined) send(call, request, collect(call), unanswered(call));
    if (download !== undefined) send(download, request, store(download), interrupted(download));
    if (abort !== undefined) inFlight.get(abort)?.destroy();
    if (notice) console.error(notice);
    if (done) end(done);
  }
  clearTimeout(timer);
  if (timeout) timer = setTimeout(() => tell({ input: "tick" }), Math.max(timeout - now(), 0));
  return reply.Ok;
}

// A request as it is, on a connection of its own; Node follows no redirects.
function send(call, { method, url, headers, body }, take, failed) {
  let sent = "never";
  const request = http.request(url, { method, headers: Object.fromEntries(headers), agent: false }, take);
  inFlight.set(call, request);
  request.on("socket", (socket) => socket.on("connect", () => (sent = "maybe")));
  request.on("error", (error) => tell({ input: failed(error, sent) }));
  request.end(body.length ? Buffer.from(body) : undefined);
}

const unanswered = (call) => (error, sent) => ({ call_failed: { call, error: { sent, reason: error.message } } });
const interrupted = (call) => (error) => ({ download_failed: { call, error: { interrupted: error.message } } });

const collect = (call) => (response) => {
  const pieces = [];
  const answer = (body) => ({ status: response.statusCode, headers: fields(response.headers), body });
  const answered = () => tell({ input: { response: { call, response: answer(bytes(Buffer.concat(pieces))) } } });
  response.on("data", (piece) => pieces.push(piece)).on("end", answered).on("error", answered);
};

const store = (call) => (response) => {
  if (response.statusCode !== 200) return collect(call)(response);
  const file = fs.openSync(`${target}.part`, "w+");
  let received = 0;
  response.on("data", (piece) => {
    received += fs.writeSync(file, piece);
    tell({ input: { progress: { call, received } } });
  });
  response.on("error", (error) => tell({ input: interrupted(call)(error) }));
  response.on("end", () => {
    const [head, tail] = [Buffer.alloc(Math.min(received, 4)), Buffer.alloc(Math.min(received, 65557))];
    [head, tail].forEach((end) => fs.readSync(file, end, { position: end === head ? 0 : received - end.length }));
    fs.closeSync(file);
    const error = tell({ ends: { head: bytes(head), tail: bytes(tail), len: received } });
    // It takes its name only once core has seen that it is an archive.
    error ? fs.rmSync(`${target}.part`) : fs.renameSync(`${target}.part`, target);
    tell({ input: error ? { download_failed: { call, error } } : { downloaded: { call, bytes: received } } });
  });
};

function end(done) {
  setImmediate(() => server.close());
  if (done.Err) process.exitCode = 1;
  console.log(JSON.stringify(done));
}

const server = http.createServer({ maxHeaderSize: 16384 }, (request, response) => {
  let [pieces, size, { method, url: target, headers }] = [[], 0, request];
  request.on("data", (piece) => ((size += piece.length) > 1 << 20 ? request.destroy() : pieces.push(piece)));
  request.on("end", () => {
    const status = tell({ request: { method, target, headers: fields(headers), body: bytes(Buffer.concat(pieces)) } });
    response.writeHead(status, { connection: "close" }).end();
  });
});
server.listen(0, "127.0.0.1", () => {
  const { ABYSSALE_BASE_URL: base, ABYSSALE_API_KEY: key, ABYSSALE_SIGNING_SECRET: secret } = process.env;
  const callback = `http://127.0.0.1:${server.address().port}/abyssale`;
  tell({ start: { base, key, secret, callback, token: randomBytes(16).toString("hex"), ids } });
});
