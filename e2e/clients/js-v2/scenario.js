// Walks the scenario with AWS's SDK for JavaScript, version 2, and prints what it saw: scenario.js FILE, where FILE
// names server, credentials and steps.
"use strict";

const { readFileSync } = require("node:fs");

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
const sdk = require("aws-sdk");

const world = JSON.parse(readFileSync(process.argv[2], "utf8"));
const constructors = { lambda: sdk.Lambda, iam: sdk.IAM, sts: sdk.STS };

function client(service, who) {
  const [accessKeyId, secretAccessKey] = world.credentials[who] ?? ["", ""];
  return new constructors[service]({
    endpoint: world.endpoint,
    region: world.region,
    maxRetries: 0,
    accessKeyId,
    secretAccessKey,
  });
}

// lower is how version 2 calls what the API calls name.
const lower = (name) => name[0].toLowerCase() + name.slice(1);

// blobs turns {"$blob": base64} into bytes, and {"$letters": n} into a JSON text of n letters.
function blobs(value) {
  if (Array.isArray(value)) return value.map(blobs);
  if (value === null || typeof value !== "object") return value;
  if ("$blob" in value) return Buffer.from(value.$blob, "base64");
  if ("$letters" in value) return Buffer.from(`"${"x".repeat(value.$letters)}"`);
  return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, blobs(v)]));
}

// plain turns an answer into JSON. Policies are decoded as a user has to.
function plain(value, name = "") {
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8");
  if (Array.isArray(value)) return value.map((v) => plain(v));
  if (typeof value === "string" && name.endsWith("Document")) return JSON.parse(decodeURIComponent(value));
  if (value === null || typeof value !== "object") return value;
  const fields = Object.entries(value).filter(([field]) => field !== "ResponseMetadata");
  return Object.fromEntries(fields.map(([field, v]) => [field, plain(v, field)]));
}

function pages(request) {
  return new Promise((resolve, reject) => {
    const list = [];
    request.eachPage((err, page) => {
      if (err) return reject(err);
      if (page === null) return resolve(list);
      list.push(plain(page));
      return true;
    });
  });
}

async function walk(step) {
  const [service, name] = (step.call ?? step.wait ?? step.pages).split(".");
  const who = step.as ?? "root";
  const c = client(service, who);
  const input = blobs(step.input);
  if (step.wait) {
    await c.waitFor(lower(name), { ...input, $waiter: { delay: 1, maxAttempts: 60 } }).promise();
    return { done: true };
  }
  if (step.pages) {
    // Version 2 has no setting for the size of a page; every operation of the scenario calls it MaxItems.
    return { pages: await pages(c[lower(name)]({ ...input, MaxItems: step.size })) };
  }
  const call = who === "nobody" ? c.makeUnauthenticatedRequest(lower(name), input) : c[lower(name)](input);
  const answer = await call.promise();
  return { status: answer.$response.httpResponse.statusCode, output: plain({ ...answer }) };
}

async function see(step) {
  try {
    return await walk(step);
  } catch (e) {
    if (!e.statusCode) return { failed: String(e.stack) };
    return { status: e.statusCode, error: { code: e.code, message: e.message } };
  }
}

(async () => {
  const seen = [];
  for (const step of world.steps) seen.push({ step: step.step, ...(await see(step)) });
  process.stdout.write(JSON.stringify(seen));
})();
