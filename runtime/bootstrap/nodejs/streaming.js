'use strict';
// Handlers that write their response to a stream
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html).

const { Writable } = require('stream');
const { RuntimeError } = require('./errors.js');

const HTTP_TYPE = 'application/vnd.awslambda.http-integration-response';

// ResponseStream is the stream such a handler writes to. What it takes goes to the daemon, as fast as that takes it.
class ResponseStream extends Writable {
  // open begins the answer with a content type, and returns what the rest goes to.
  constructor(open, highWaterMark) {
    super({ highWaterMark, decodeStrings: true });
    this.open = open;
    this.contentType = 'application/octet-stream';
    this.begun = false; // the function has written something
    this.wire = null;
    this.complete = false; // all is written and the wire is told so
    this.whenComplete = () => {};
  }

  setContentType(type) {
    if (this.begun) throw new RuntimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    if (!/^[\t\x20-\x7e]{0,255}$/.test(type)) throw new TypeError('Invalid character in header content ["Content-Type"]');
    this.contentType = type;
  }

  write(chunk, ...rest) {
    this.begun = true;
    const bytes = typeof chunk === 'string' || chunk instanceof Uint8Array;
    return super.write(bytes || chunk === undefined ? chunk : JSON.stringify(chunk), ...rest);
  }

  _write(chunk, _encoding, done) {
    this.begin();
    this.wire.write(chunk, done);
  }

  _final(done) {
    this.begin();
    this.complete = true;
    this.wire.end(() => {
      done();
      this.whenComplete();
    });
  }

  // fail ends the answer before its end, if that has not been reached already, and calls done.
  fail(kind, payload, done) {
    if (this.writableFinished) {
      done();
    } else if (this.complete) {
      this.whenComplete = done;
    } else {
      this.wire.fail(kind, payload, done);
      this.destroy();
    }
  }

  begin() {
    if (this.wire) return;
    this.begun = true;
    const beginning = [];
    if (typeof this._onBeforeFirstWrite === 'function') this._onBeforeFirstWrite((chunk) => beginning.push(Buffer.from(chunk)));
    this.wire = this.open(this.contentType, Buffer.concat(beginning));
  }
}

const HttpResponseStream = {
  // from puts an HTTP status, headers and cookies in front of the response: their JSON, then eight zero bytes.
  from(stream, prelude) {
    stream.setContentType(HTTP_TYPE);
    const text = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(text);
      write(new Uint8Array(8));
    };
    return stream;
  },
};

// run runs a handler that writes to out, and resolves when it has returned and all is written. idle is called with what
// to do once nothing is left in the event loop.
async function run(handler, event, out, context, idle) {
  const ended = new Promise((resolve, reject) => out.on('finish', resolve).on('error', reject));
  ended.catch(() => {}); // the handler may fail first
  const running = handler(event, out, context);
  if (!running || typeof running.then !== 'function') throw 'Streaming does not support non-async handlers.';
  const stuck = new Promise((_resolve, reject) => idle(() => reject('Response stream is not finished.')));
  const result = await Promise.race([running, stuck]);
  if (result !== undefined) console.warn('Streaming handlers ignore return values.');
  await Promise.race([ended, stuck]);
}

module.exports = { ResponseStream, HttpResponseStream, run };
