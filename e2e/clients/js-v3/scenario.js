// Walks the scenario with AWS's SDK for JavaScript, version 3, and prints what it saw: scenario.js FILE, where FILE
// names server, credentials and steps.
"use strict";

const { readFileSync } = require("node:fs");

const packages = {
  lambda: require("@aws-sdk/client-lambda"),
  iam: require("@aws-sdk/client-iam"),
  sts: require("@aws-sdk/client-sts"),
};
const constructors = { lambda: "LambdaClient", iam: "IAMClient", sts: "STSClient" };

const world = JSON.parse(readFileSync(process.argv[2], "utf8"));

function client(service, who) {
  const [accessKeyId, secretAccessKey] = world.credentials[who] ?? ["", ""];
  const settings = {
    endpoint: world.endpoint,
    region: world.region,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey },
  };
  if (who === "nobody") settings.signer = { sign: async (request) => request };
  return new packages[service][constructors[service]](settings);
}

// blobs turns {"$blob": base64} into bytes, and {"$letters": n} into a JSON text of n letters.
function blobs(value) {
  if (Array.isArray(value)) return value.map(blobs);
  if (value === null || typeof value !== "object") return value;
  if ("$blob" in value) return Uint8Array.from(Buffer.from(value.$blob, "base64"));
  if ("$letters" in value) return new TextEncoder().encode(`"${"x".repeat(value.$letters)}"`);
  return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, blobs(v)]));
}

// plain turns an answer into JSON. Policies are decoded as a user has to.
function plain(value, name = "") {
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8");
  if (Array.isArray(value)) return value.map((v) => plain(v));
  if (typeof value === "string" && name.endsWith("Document")) return JSON.parse(decodeURIComponent(value));
  if (value === null || typeof value !== "object") return value;
  const fields = Object.entries(value).filter(([field]) => field !== "$metadata");
  return Object.fromEntries(fields.map(([field, v]) => [field, plain(v, field)]));
}

async function walk(step) {
  const [service, name] = (step.call ?? step.wait ?? step.pages).split(".");
  const sdk = packages[service];
  const c = client(service, step.as ?? "root");
  const input = blobs(step.input);
  if (step.wait) {
    const { state } = await sdk[`waitUntil${name}`]({ client: c, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, input);
    return { done: state === "SUCCESS" };
  }
  if (step.pages) {
    const pages = [];
    for await (const page of sdk[`paginate${name}`]({ client: c, pageSize: step.size }, input)) pages.push(plain(page));
    return { pages };
  }
  const answer = await c.send(new sdk[`${name}Command`](input));
  return { status: answer.$metadata.httpStatusCode, output: plain(answer) };
}

async function see(step) {
  try {
    return await walk(step);
  } catch (e) {
    if (!e.$metadata?.httpStatusCode) return { failed: String(e.stack) };
    // Code is what was on the wire; the SDK's own class may be called otherwise.
    return { status: e.$metadata.httpStatusCode, error: { code: e.Code ?? e.name, message: e.message } };
  }
}

(async () => {
  const seen = [];
  for (const step of world.steps) seen.push({ step: step.step, ...(await see(step)) });
  process.stdout.write(JSON.stringify(seen));
})();
