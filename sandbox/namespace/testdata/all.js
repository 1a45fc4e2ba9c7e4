const assert = require("assert");
const { execFileSync, spawnSync } = require("child_process");
const crypto = require("crypto");
const dns = require("dns");
const fs = require("fs");
const http = require("http");
const os = require("os");
const { Worker } = require("worker_threads");
const zlib = require("zlib");

async function main() {
  assert.equal(execFileSync("/bin/sh", ["-c", "echo child"]).toString(), "child\n");
  assert.equal(spawnSync("/bin/sh", ["-c", "exit 3"]).status, 3);
  // Hot enough for the optimizing compiler.
  let sum = 0;
  const f = (n) => (n * n) % 7;
  for (let i = 0; i < 3e6; i++) sum += f(i);
  assert(sum > 0);
  const add = new WebAssembly.Module(Buffer.from("0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b", "hex"));
  assert.equal(new WebAssembly.Instance(add).exports.add(2, 3), 5);
  const worker = new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
  assert.equal(await new Promise((done, fail) => worker.on("message", done).on("error", fail)), 42);
  fs.writeFileSync("/tmp/node.txt", zlib.gzipSync("text"));
  assert.equal(zlib.gunzipSync(await fs.promises.readFile("/tmp/node.txt")).toString(), "text");
  const watched = fs.watch("/tmp");
  watched.close();
  const server = http.createServer((req, res) => res.end("around"));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
  assert.equal(await answer.text(), "around");
  server.close();
  server.closeAllConnections();
  await new Promise((done) => crypto.pbkdf2("a", "b", 1000, 32, "sha256", done));
  assert.equal((await dns.promises.lookup("127.0.0.1")).address, "127.0.0.1");
  assert(os.cpus().length > 0 && os.totalmem() > 0 && os.networkInterfaces().lo);
  process.memoryUsage();
  process.cpuUsage();
  const awake = setInterval(() => {}, 1000); // a signal handler alone does not keep the program running
  await new Promise((done) => {
    process.once("SIGUSR2", done);
    process.kill(process.pid, "SIGUSR2");
  });
  clearInterval(awake);
  console.log("all is well");
}

main().catch((e) => {
  console.log(e);
  process.exit(1);
});
