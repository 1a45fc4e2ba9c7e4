'use strict';
// The conversation over Lambda's HTTP Runtime API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), for
// where descriptor 3 is not the daemon's. A function sees no difference: requests are written, and the answers to all
// but the one for the next event are read, at once, as frames are.

const net = require('net');
const { gone, writeAll, readSome } = require('./descriptor.js');

const RUNTIME = '/2018-06-01/runtime/';
const FIELDS = {
  'lambda-runtime-aws-request-id': 'id',
  'lambda-runtime-invoked-function-arn': 'arn',
  'lambda-runtime-trace-id': 'trace',
  'lambda-runtime-client-context': 'client',
  'lambda-runtime-cognito-identity': 'identity',
  'lambda-runtime-aws-tenant-id': 'tenant',
  'lambda-runtime-deadline-ms': 'deadline',
};

const ERROR_TYPE = 'Lambda-Runtime-Function-Error-Type';
const ERROR_BODY = 'Lambda-Runtime-Function-Error-Body';
const UNFIT = /[\0-\x1f\x7f]/; // what cannot stand in a header

class RuntimeAPI {
  // address is host:port; deliver is called with the head of each event and its payload's text.
  constructor(address, deliver) {
    this.address = address;
    this.deliver = deliver;
    this.inbox = Buffer.allocUnsafeSlow(64 * 1024);
    this.answer = new Answer();
  }

  // start connects, and resolves to the handler's name and the environment variables to set: none, they are there.
  start() {
    const colon = this.address.lastIndexOf(':');
    const host = this.address.substring(0, colon).replace(/^\[|\]$/g, '');
    this.socket = net.connect({
      host,
      port: Number(this.address.substring(colon + 1)),
      noDelay: true,
      onread: { buffer: this.inbox, callback: (n) => this.took(n) },
    });
    this.socket.on('end', gone).on('error', gone);
    return new Promise((resolve) => {
      this.socket.once('connect', () => {
        this.socket.unref();
        resolve({ handler: process.env._HANDLER, env: [] });
      });
    });
  }

  // ready asks for an event: Init is over, or a stream's event.
  ready() {
    this.next();
  }

  respond(head, contentType, payload) {
    this.post(`invocation/${head.id}/response`, contentType, payload, '');
    this.next();
  }

  fail(head, kind, payload) {
    this.post(`invocation/${head.id}/error`, 'application/json', payload, kind);
    this.next();
  }

  crash(head, kind, payload) {
    this.post(head ? `invocation/${head.id}/error` : 'init/error', 'application/json', payload, kind);
  }

  // stream begins an answer that is written bit by bit. What it returns takes the rest of it, up to end or fail. Neither
  // asks for the next event.
  stream(head, contentType, beginning) {
    const pack = (piece) => Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]);
    let refused = false; // a refusal comes early
    this.then = () => { refused = true; };
    const end = (trailers, done) => this.socket.write(`0\r\n${trailers}\r\n`, () => {
      if (refused) return done();
      // The whole answer may take its time to reach the caller, and so may the reply.
      this.then = () => done();
      this.socket.ref();
    });
    writeAll(this.fd(), Buffer.from(`POST ${RUNTIME}invocation/${head.id}/response HTTP/1.1\r\nHost: ${this.address}\r\n` +
      `Content-Type: ${contentType}\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n` +
      `Transfer-Encoding: chunked\r\nTrailer: ${ERROR_TYPE}, ${ERROR_BODY}\r\n\r\n`));
    if (beginning.length > 0) writeAll(this.fd(), pack(beginning));
    return {
      write: (chunk, done) => this.socket.write(pack(chunk), () => done()),
      end: (done) => end('', done),
      fail: (kind, payload, done) => {
        const type = UNFIT.test(kind) ? 'Runtime.Unknown' : kind;
        end(`${ERROR_TYPE}: ${type}\r\n${ERROR_BODY}: ${Buffer.from(payload).toString('base64')}\r\n`, done);
      },
    };
  }

  // log prints one log record as one line: without frames, a carriage return is what ends a line inside it.
  log(text) {
    try {
      writeAll(1, Buffer.from(text.replace(/\n$/, '').replace(/\n/g, '\r') + '\n'));
    } catch (_) { // the function has closed it
    }
  }

  // next asks for an event, and keeps the process alive for it.
  next() {
    writeAll(this.fd(), Buffer.from(`GET ${RUNTIME}invocation/next HTTP/1.1\r\nHost: ${this.address}\r\n\r\n`));
    this.then = (answer) => this.event(answer);
    this.socket.ref();
  }

  took(n) {
    if (!this.answer.add(this.inbox.subarray(0, n))) return true;
    const { answer, then } = this;
    this.answer = new Answer();
    this.socket.unref();
    then(answer);
    return true;
  }

  event({ status, fields, body }) {
    if (status !== 200) process.exit(1);
    const head = {};
    for (const [name, field] of Object.entries(FIELDS)) if (name in fields) head[field] = fields[name];
    head.deadline = Number(head.deadline);
    this.deliver(head, body.toString());
  }

  post(path, contentType, payload, kind) {
    const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
    let head = `POST ${RUNTIME}${path} HTTP/1.1\r\nHost: ${this.address}\r\n` +
      `Content-Type: ${contentType}\r\nContent-Length: ${body.length}\r\n`;
    // What cannot stand in a header the body says alone.
    if (kind && !UNFIT.test(kind)) head += `${ERROR_TYPE}: ${kind}\r\n`;
    writeAll(this.fd(), Buffer.concat([Buffer.from(head + '\r\n'), body]));
    const answer = new Answer();
    for (;;) {
      const n = readSome(this.fd(), this.inbox);
      if (n === 0) gone();
      if (answer.add(this.inbox.subarray(0, n))) return;
    }
  }

  fd() {
    const handle = this.socket._handle;
    return handle ? handle.fd : gone();
  }
}

// Answer gathers one HTTP answer. Nothing ever follows it: there is one request at a time.
class Answer {
  constructor() {
    this.chunks = [];
    this.size = 0;
    this.need = 0; // how much there must be before it is worth looking
  }

  // add says whether the answer is whole; status, fields and body are set then.
  add(chunk) {
    this.chunks.push(Buffer.from(chunk));
    this.size += chunk.length;
    if (this.size < this.need) return false;
    const all = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks);
    this.chunks = [all];
    const end = all.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const [first, ...lines] = all.toString('utf8', 0, end).split('\r\n');
    this.status = Number(first.split(' ')[1]);
    this.fields = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      this.fields[line.substring(0, colon).toLowerCase()] = line.substring(colon + 1).trim();
    }
    if ((this.fields['transfer-encoding'] || '').toLowerCase() === 'chunked') {
      this.body = unchunked(all, end + 4);
      return this.body !== null;
    }
    this.need = end + 4 + Number(this.fields['content-length'] || 0);
    this.body = all.subarray(end + 4, this.need);
    return this.size >= this.need;
  }
}

// unchunked is the body of an answer that comes in chunks from at on; null if it is not whole.
function unchunked(all, at) {
  const pieces = [];
  for (;;) {
    const line = all.indexOf('\r\n', at);
    if (line < 0) return null;
    const size = parseInt(all.toString('latin1', at, line), 16);
    at = line + 2;
    if (size === 0) return all.indexOf('\r\n', at) < 0 ? null : Buffer.concat(pieces);
    if (all.length < at + size + 2) return null;
    pieces.push(all.subarray(at, at + size));
    at += size + 2;
  }
}

module.exports = { RuntimeAPI };
