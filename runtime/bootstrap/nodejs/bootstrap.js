'use strict';
// Hotaru's Node.js bootstrap: loads a function's handler and answers its events.
//
// It talks to the daemon in frames over descriptor 3 (the frames are described in the runtimeapi package). It
// behaves as Lambda's own runtime does, down to the words of its errors. It runs on Node.js 16 and newer and
// uses nothing but Node.js itself.

const fs = require('fs');
const { format } = require('util');
const { loadHandler, forgetPaths, offerStreaming, isStreaming } = require('./loader.js');
const { trust, trustChildren } = require('./trust.js');

// What only failures need is loaded when one happens: see errors.js.
const describe = (err) => require('./errors.js').describe(err);
const logged = (err) => require('./errors.js').logged(err);
const fault = (kind, message) => new (require('./errors.js').RuntimeError)(kind, message);

const FD = 3;
const RESPONSE = 17, ERROR = 18, INIT_ERROR = 19, LOG = 20;
const READY = Buffer.from([0, 0, 0, 0, 16]);
const MAX_LOG_RECORD = 256 * 1024;

// -- frames ---------------------------------------------------------------------------------------------------

const pause = new Int32Array(new SharedArrayBuffer(4));

// send writes frames given in parts, all of them, before it returns: log records and answers keep their order.
function send(parts) {
  let size = 0;
  for (const part of parts) size += part.length;
  let done = tryWrite(() => fs.writevSync(FD, parts));
  if (done === size) return;
  const rest = Buffer.concat(parts);
  while (done < size) {
    const n = tryWrite(() => fs.writeSync(FD, rest, done));
    // The socket is full and does not block: let the daemon read.
    if (n === 0) Atomics.wait(pause, 0, 0, 0.2);
    done += n;
  }
}

function tryWrite(write) {
  try {
    return write();
  } catch (err) {
    if (err.code === 'EAGAIN') return 0;
    throw err;
  }
}

// answer is the parts of a Response, Error or InitError frame.
function answer(type, number, tag, payload) {
  tag = Buffer.from(Buffer.byteLength(tag) > 255 ? tag.substring(0, 63) : tag);
  const head = Buffer.allocUnsafe(10);
  head.writeUInt32BE(5 + tag.length + payload.length, 0);
  head[4] = type;
  head.writeUInt32BE(number, 5);
  head[9] = tag.length;
  return [head, tag, payload];
}

function sendLog(text) {
  const record = Buffer.from(text);
  for (let begin = 0; begin < record.length; begin += MAX_LOG_RECORD) {
    const piece = record.subarray(begin, begin + MAX_LOG_RECORD);
    const head = Buffer.allocUnsafe(5);
    head.writeUInt32BE(piece.length, 0);
    head[4] = LOG;
    send([head, piece]);
  }
}

// -- console --------------------------------------------------------------------------------------------------

const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
// Symbols are how Lambda's own runtime shares the request ID; log libraries read it.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

// logError writes an error to the log the way Lambda's runtime does.
let logError;

function patchConsole() {
  const json = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const least = LEVELS[(process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()] || LEVELS.TRACE;
  const text = (level, ...args) => {
    sendLog(`${new Date().toISOString()}\t${globalThis[REQUEST_ID]}\t${level}\t${format(...args)}\n`);
  };
  const write = json ? (level, ...args) => sendLog(jsonRecord(level, args)) : text;
  const at = (level) =>
    LEVELS[level] >= least || level === 'FATAL' ? (...args) => write(level, ...args) : () => {};
  console.trace = at('TRACE');
  console.debug = at('DEBUG');
  console.log = console.info = at('INFO');
  console.warn = at('WARN');
  console.error = at('ERROR');
  console.fatal = at('FATAL');
  logError = json
    ? (_title, err) => console.error(err instanceof Error ? err : new Error(describe(err).errorMessage))
    : (title, err) => console.error(title, logged(err));
}

function jsonRecord(level, args) {
  const record = { timestamp: new Date().toISOString(), level, requestId: globalThis[REQUEST_ID] };
  if (args.length === 1) {
    record.message = args[0];
    try {
      return JSON.stringify(record, errorFields) + '\n';
    } catch (_) {
      record.message = format(args[0]);
      return JSON.stringify(record) + '\n';
    }
  }
  record.message = format(...args);
  const err = args.find((arg) => arg instanceof Error);
  return JSON.stringify(err ? { ...record, ...errorFields('', err) } : record) + '\n';
}

function errorFields(_key, value) {
  if (!(value instanceof Error)) return value;
  return {
    errorType: (value.constructor && value.constructor.name) || 'UnknownError',
    errorMessage: value.message,
    stackTrace: typeof value.stack === 'string' ? value.stack.split('\n') : value.stack,
    ...value,
  };
}

// -- invocations ----------------------------------------------------------------------------------------------

const nodeMajor = parseInt(process.versions.node, 10);

let socket; // descriptor 3, from the second event on
let events = 0; // how many have come
let handler;
let streaming = false;
let serving = false; // Init is over
let current = null; // the invocation that is not answered yet
let whenIdle = null; // what to do once nothing is left in the event loop

class Invocation {
  constructor(head) {
    this.head = head;
    this.waitsForEmptyLoop = true;
    this.calledBack = false;
  }

  // finish sends what ends the invocation, together with the request for the next event. Only the first
  // answer counts.
  finish(type, tag, payload) {
    if (current !== this) return;
    current = null;
    whenIdle = null;
    send([...answer(type, this.head.number, tag, payload), READY]);
    listen();
  }

  succeed(result) {
    let body;
    try {
      body = JSON.stringify(result === undefined ? null : result) || 'null';
    } catch (_) {
      const message = 'Unable to stringify response body';
      return this.fail(nodeMajor >= 24 ? fault('JSONStringifyError', message) : new Error(message));
    }
    this.finish(RESPONSE, 'application/json', Buffer.from(body));
  }

  fail(err) {
    if (current !== this) return;
    logError('Invoke Error', err);
    const body = describe(err);
    this.finish(ERROR, body.errorType, Buffer.from(JSON.stringify(body)));
  }

  // callback is the handler's third argument. Only its first call counts.
  callback(err, result) {
    if (this.calledBack) return;
    this.calledBack = true;
    if (err !== undefined && err !== null) return this.fail(err);
    if (!this.waitsForEmptyLoop) return this.succeed(result);
    if (current === this) whenIdle = () => this.succeed(result);
  }
}

function parseField(text, name) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (err) {
    throw new Error(`Cannot parse ${name} as json: ${err}`);
  }
}

function contextFor(invocation) {
  const { head } = invocation;
  const { env } = process;
  const done = (err, result) =>
    (err === undefined || err === null ? invocation.succeed(result) : invocation.fail(err));
  const callbacks = nodeMajor >= 24 ? {} : {
    get callbackWaitsForEmptyEventLoop() { return invocation.waitsForEmptyLoop; },
    set callbackWaitsForEmptyEventLoop(value) { invocation.waitsForEmptyLoop = value; },
    succeed: (result) => invocation.succeed(result),
    fail: (err) => invocation.fail(err === undefined || err === null ? 'handled' : err),
    done,
  };
  return Object.assign(callbacks, {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseField(head.client, 'ClientContext'),
    identity: parseField(head.identity, 'CognitoIdentity'),
    invokedFunctionArn: head.arn,
    awsRequestId: head.id,
    tenantId: head.tenant,
    getRemainingTimeInMillis: () => head.deadline - Date.now(),
  });
}

// invoke runs the handler on one event.
function invoke(head, payload) {
  const invocation = current = new Invocation(head);
  globalThis[REQUEST_ID] = head.id;
  if (head.trace) process.env._X_AMZN_TRACE_ID = head.trace;
  else delete process.env._X_AMZN_TRACE_ID;
  whenIdle = () => invocation.succeed(null);
  try {
    const event = JSON.parse(payload);
    const context = contextFor(invocation);
    if (streaming) {
      require('./streaming.js').stream(handler, event, context).then(
        (out) => invocation.finish(RESPONSE, out.contentType, out.payload),
        (err) => invocation.fail(err));
      return;
    }
    const result = handler(event, context, (err, value) => invocation.callback(err, value));
    if (result && typeof result.then === 'function') {
      result.then((value) => invocation.succeed(value), (err) => invocation.fail(err));
    } else if (nodeMajor >= 24) {
      invocation.succeed(result);
    }
  } catch (err) {
    invocation.fail(err);
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
  trustChildren();
  patchConsole();
  offerStreaming();
  handler = await loadHandler(root, name);
  streaming = isStreaming(handler);
  if (nodeMajor >= 24 && handler.length >= 3 && !streaming) {
    throw fault('CallbackHandlerDeprecated',
      'Handlers with a callback are not supported from Node.js 24 on: return a promise or a value instead.');
  }
  serving = true;
  send([READY]);
  listen();
}

// crash reports an error that ends the process.
function crash(title, err, code) {
  logError(title, err);
  const body = describe(err);
  const payload = Buffer.from(JSON.stringify(body));
  if (!serving) send(answer(INIT_ERROR, 0, body.errorType, payload));
  else if (current) send(answer(ERROR, current.head.number, body.errorType, payload));
  process.exit(code);
}

// gone ends the process when the daemon has let go of this environment: there is nobody to tell.
const gone = () => process.exit(0);

// gatherer returns a function that takes chunks and returns a frame when it is whole. The daemon sends a Start
// and then an Event after each Ready, so that nothing ever follows a frame.
function gatherer() {
  let chunks = [];
  let size = 0;
  let need = 5;
  return (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size < need) return null;
    const frame = chunks.length === 1 ? chunk : Buffer.concat(chunks);
    need = 5 + frame.readUInt32BE(0);
    if (size < need) {
      chunks = [frame];
      return null;
    }
    chunks = [];
    size = 0;
    need = 5;
    return frame;
  };
}

// readStart waits for the Start frame. Nothing else can happen before it.
function readStart() {
  const gather = gatherer();
  for (;;) {
    const buffer = Buffer.allocUnsafe(64 * 1024);
    const n = fs.readSync(FD, buffer);
    if (n === 0) gone();
    const frame = gather(buffer.subarray(0, n));
    if (frame) return JSON.parse(frame.toString('utf8', 5));
  }
}

// listen waits for the next event, and keeps the process alive for it. During an invocation nothing of ours
// does: an empty event loop means something then.
//
// A socket answers fastest, but takes a while to load and set up: the first event is read without.
function listen() {
  if (socket) socket.ref();
  else if (events > 0) openSocket();
  else readFirst(gatherer());
}

function readFirst(gather) {
  const buffer = Buffer.allocUnsafe(64 * 1024);
  fs.read(FD, buffer, 0, buffer.length, null, (err, n) => {
    if (err || n === 0) return gone();
    const frame = gather(buffer.subarray(0, n));
    if (frame) deliver(frame);
    else readFirst(gather);
  });
}

function openSocket() {
  const gather = gatherer();
  socket = new (require('net').Socket)({ fd: FD, readable: true, writable: true });
  socket.on('end', gone).on('error', gone).on('data', (chunk) => {
    const frame = gather(chunk);
    if (!frame) return;
    socket.unref();
    deliver(frame);
  });
}

function deliver(frame) {
  events++;
  const payload = 9 + frame.readUInt32BE(5);
  invoke(JSON.parse(frame.toString('utf8', 9, payload)), frame.toString('utf8', payload));
}

function main() {
  trust();
  const start = readStart();
  process.on('uncaughtException', (err) => crash('Uncaught Exception', err, 129));
  process.on('unhandledRejection', (reason, promise) =>
    crash('Unhandled Promise Rejection', new (require('./errors.js').Unhandled)(reason, promise), 128));
  process.on('beforeExit', () => {
    const idle = whenIdle;
    whenIdle = null;
    if (idle) idle();
  });
  begin(start).catch((err) => crash('Uncaught Exception', err, 129));
}

main();
