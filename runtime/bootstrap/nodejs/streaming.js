'use strict';
// Handlers that write their response to a stream: it is gathered and answered when it ends.

const { Writable } = require('stream');

const HTTP_TYPE = 'application/vnd.awslambda.http-integration-response';

// ResponseStream is the stream such a handler writes to.
class ResponseStream extends Writable {
  constructor() {
    super();
    this.chunks = [];
    this.contentType = 'application/octet-stream';
  }

  setContentType(type) {
    this.contentType = type;
  }

  _write(chunk, _encoding, done) {
    this.chunks.push(chunk);
    done();
  }
}

const HttpResponseStream = {
  // from puts an HTTP status, headers and cookies in front of the response: their JSON, then eight zero bytes.
  from(stream, prelude) {
    stream.setContentType(HTTP_TYPE);
    stream.write(JSON.stringify(prelude));
    stream.write(Buffer.alloc(8));
    return stream;
  },
};

// stream runs a streaming handler and resolves to what it wrote.
async function stream(handler, event, context) {
  const out = new ResponseStream();
  const ended = new Promise((resolve, reject) => out.on('finish', resolve).on('error', reject));
  ended.catch(() => {}); // the handler may fail first
  const running = handler(event, out, context);
  if (!running || typeof running.then !== 'function') throw 'Streaming does not support non-async handlers.';
  const result = await running;
  if (result !== undefined) console.warn('Streaming handlers ignore return values.');
  if (!out.writableEnded) throw 'Response stream is not finished.';
  await ended;
  return { contentType: out.contentType, payload: Buffer.concat(out.chunks) };
}

module.exports = { stream, HttpResponseStream };
