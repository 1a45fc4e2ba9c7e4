'use strict';
// Hotaru's Node.js bootstrap: loads a function's handler and answers its events.
//
// It talks to the daemon in frames over descriptor 3, or over the HTTP Runtime API where that descriptor is not there. It
// behaves as Lambda's own runtime does, down to the words of its errors. It runs on Node.js 16 and newer and
// uses nothing but Node.js itself.

const fs = require('fs');
const { FD, Frames } = require('./frames.js');
const { REQUEST_ID, TENANT_ID, patchConsole } = require('./console.js');
const { loadHandler, forgetPaths, followNodePath, offerStreaming, isStreaming, highWaterMark } = require('./loader.js');
const { trust, trustChildren } = require('./trust.js');
const { withCompiled } = require('./compiled.js');

// What only failures need is loaded when one happens: see errors.js.
const describe = (err) => require('./errors.js').describe(err);
const fault = (kind, message) => new (require('./errors.js').RuntimeError)(kind, message);

let daemon; // the conversation with it
let logError;

// -- invocations ----------------------------------------------------------------------------------------------

const nodeMajor = parseInt(process.versions.node, 10);

let handler;
let streaming = false;
let serving = false; // Init is over
let current = null; // the invocation that is not answered yet
let whenIdle = null; // what to do once nothing is left in the event loop

class Invocation {
  constructor(head) {
    this.head = head;
    this.waitsForEmptyLoop = true;
    this.said = false;
  }

  // stream runs a handler that writes its answer bit by bit. The next event is asked for when there is nothing left to
  // do.
  stream(event, context) {
    const { ResponseStream, run } = require('./streaming.js');
    const out = this.out = new ResponseStream((...beginning) => daemon.stream(this.head, ...beginning), highWaterMark(handler));
    const next = () => {
      if (!this.over()) return;
      if (this.waitsForEmptyLoop && nodeMajor < 24) whenIdle = () => daemon.ready();
      else daemon.ready();
    };
    run(handler, event, out, context, (then) => { whenIdle = then; }).then(next, (err) => {
      const body = report('Invoke Error', err);
      this.broken(tag(body.errorType), JSON.stringify(body), next);
    });
  }

  // broken says that the answer will not come, or not to its end.
  broken(kind, payload, done) {
    if (this.out && this.out.wire) {
      this.out.fail(kind, payload, done);
      return;
    }
    daemon.crash(this.head, kind, payload);
    done();
  }

  // once says whether this is the first that the function says about its outcome: nothing else counts.
  once() {
    const first = !this.said;
    this.said = true;
    return first;
  }

  // over says whether the invocation has not been answered yet, and that it is now.
  over() {
    if (current !== this) return false;
    current = null;
    whenIdle = null;
    return true;
  }

  // succeed answers.
  succeed(result) {
    let body;
    try {
      body = JSON.stringify(result === undefined ? null : result);
    } catch (_) {
      const message = 'Unable to stringify response body';
      return this.fail(nodeMajor >= 24 ? fault('JSONStringifyError', message) : new Error(message));
    }
    if (body === undefined) return this.fail(new TypeError('Wrong arguments')); // a function or a symbol
    if (this.over()) daemon.respond(this.head, 'application/json', body);
  }

  fail(err) {
    if (current !== this) return;
    const body = report('Invoke Error', err);
    if (this.over()) daemon.fail(this.head, tag(body.errorType), JSON.stringify(body));
  }

  // done is how context.done, and a promise that is kept, answer.
  done(err, result) {
    if (!this.once()) return;
    if (err === undefined || err === null) this.succeed(result);
    else this.fail(err);
  }

  // failed is how context.fail, and a promise that is broken, answer.
  failed(err) {
    if (this.once()) this.fail(err === undefined || err === null ? 'handled' : err);
  }

  // callback is the handler's third argument.
  callback(err, result) {
    if (!this.once()) return;
    if (err !== undefined && err !== null) return this.fail(err);
    if (!this.waitsForEmptyLoop) return this.succeed(result);
    if (current === this) whenIdle = () => this.succeed(result);
  }
}

// report logs an error and returns the body that describes it. What cannot be logged is a failure of its own.
function report(title, err) {
  try {
    logError(title, err);
  } catch (failure) {
    err = failure;
    logError(title, err);
  }
  return describe(err);
}

// tag is an error's type as it goes beside its body: 255 bytes at most.
function tag(kind = 'Runtime.Unknown') {
  return Buffer.byteLength(kind) > 255 ? kind.substring(0, 63) : kind;
}

function parseField(text, name) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (err) {
    throw new Error(`Cannot parse ${name} as json: ${err}`);
  }
}

// offered are the old ways to answer, which come first in a context where there are any.
function offered(invocation) {
  if (nodeMajor >= 24) return {};
  if (streaming) {
    return {
      get callbackWaitsForEmptyEventLoop() { return invocation.waitsForEmptyLoop; },
      set callbackWaitsForEmptyEventLoop(value) { invocation.waitsForEmptyLoop = value; },
    };
  }
  return {
    get callbackWaitsForEmptyEventLoop() { return invocation.waitsForEmptyLoop; },
    set callbackWaitsForEmptyEventLoop(value) { invocation.waitsForEmptyLoop = value; },
    succeed: (result) => invocation.done(null, result),
    fail: (err) => invocation.failed(err),
    done: (err, result) => invocation.done(err, result),
  };
}

function contextFor(invocation) {
  const { head } = invocation;
  const { env } = process;
  const context = offered(invocation);
  context.functionVersion = env.AWS_LAMBDA_FUNCTION_VERSION;
  context.functionName = env.AWS_LAMBDA_FUNCTION_NAME;
  context.memoryLimitInMB = env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE;
  context.logGroupName = env.AWS_LAMBDA_LOG_GROUP_NAME;
  context.logStreamName = env.AWS_LAMBDA_LOG_STREAM_NAME;
  context.clientContext = parseField(head.client, 'ClientContext');
  context.identity = parseField(head.identity, 'CognitoIdentity');
  context.invokedFunctionArn = head.arn;
  context.awsRequestId = head.id;
  context.tenantId = head.tenant;
  context.getRemainingTimeInMillis = () => head.deadline - Date.now();
  return context;
}

// invoke runs the handler on one event.
function invoke(head, payload) {
  const invocation = current = new Invocation(head);
  globalThis[REQUEST_ID] = head.id;
  globalThis[TENANT_ID] = head.tenant;
  if (head.trace) process.env._X_AMZN_TRACE_ID = head.trace;
  else delete process.env._X_AMZN_TRACE_ID;
  whenIdle = () => invocation.succeed(null);
  try {
    const event = JSON.parse(payload);
    const context = contextFor(invocation);
    if (streaming) {
      invocation.stream(event, context);
      return;
    }
    const result = handler(event, context, (err, value) => invocation.callback(err, value));
    if (result && typeof result.then === 'function') {
      result.then((value) => invocation.done(null, value), (err) => invocation.failed(err));
    } else if (nodeMajor >= 24) {
      invocation.succeed(result);
    }
  } catch (err) {
    if (invocation.once()) invocation.fail(err);
  }
}

// -- the process ----------------------------------------------------------------------------------------------

// begin becomes the function's process and loads its handler.
async function begin({ handler: name, env }) {
  for (const entry of env) {
    const equals = entry.indexOf('=');
    process.env[entry.substring(0, equals)] = entry.substring(equals + 1);
  }
  const root = process.env.LAMBDA_TASK_ROOT || '/var/task';
  try {
    process.chdir(root);
  } catch (_) { // a function without code: loading it says so better
  }
  forgetPaths();
  if (process.env.HOTARU_LAYER_ROOT !== undefined) followNodePath();
  trustChildren();
  logError = patchConsole((text) => daemon.log(text));
  offerStreaming();
  handler = await loadHandler(root, name);
  streaming = isStreaming(handler);
  if (nodeMajor >= 24 && handler.length >= 3 && !streaming) {
    throw fault('CallbackHandlerDeprecated',
      'Handlers with a callback are not supported from Node.js 24 on: return a promise or a value instead.');
  }
  serving = true;
  daemon.ready();
}

// crash reports an error that ends the process.
function crash(title, err, code) {
  const body = report(title, err);
  const exit = () => process.exit(code);
  if (current) current.broken(tag(body.errorType), JSON.stringify(body), exit);
  else if (!serving) daemon.crash(null, tag(body.errorType), JSON.stringify(body));
  if (!current) exit();
}

// framed says whether descriptor 3 leads to the daemon.
function framed() {
  try {
    return fs.fstatSync(FD).isSocket() || !process.env.AWS_LAMBDA_RUNTIME_API;
  } catch (_) {
    return !process.env.AWS_LAMBDA_RUNTIME_API;
  }
}

// preload loads what most functions will, and makes the way of events, in a process that is started before its function is
// known.
function preload() {
  withCompiled(() => {
    for (const name of ['net', 'http', 'https', 'crypto']) require(name);
  });
  daemon.warm();
}

async function main() {
  trust();
  const frames = framed();
  daemon = frames ? new Frames(invoke) : new (require('./http.js').RuntimeAPI)(process.env.AWS_LAMBDA_RUNTIME_API, invoke);
  if (frames && process.env._HANDLER === undefined) preload();
  const start = await daemon.start();
  process.on('uncaughtException', (err) => crash('Uncaught Exception', err, 129));
  process.on('unhandledRejection', (reason, promise) =>
    crash('Unhandled Promise Rejection', new (require('./errors.js').Unhandled)(reason, promise), 128));
  process.on('beforeExit', () => {
    // As Node.js itself has it for an await that nothing can end.
    if (!serving) process.exit(13);
    const idle = whenIdle;
    whenIdle = null;
    if (idle) setImmediate(idle); // there may be more to do then
  });
  begin(start).catch((err) => crash('Uncaught Exception', err, 129));
}

main();
