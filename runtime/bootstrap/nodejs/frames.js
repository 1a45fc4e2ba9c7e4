'use strict';
// The conversation with the daemon in frames over descriptor 3, which the runtimeapi package describes.

const fs = require('fs');
const { listen } = require('./pipe.js');
const { gone, writeAll, writeSlowly } = require('./descriptor.js');

const FD = 3;
const RESPONSE = 17, ERROR = 18, INIT_ERROR = 19, LOG = 20, STREAM = 21, CHUNK = 22, END = 23;
const READY = 16;
const HEADER = 5;
const MAX_LOG_RECORD = 256 * 1024;
const MAX_TAG = 255;
const OUTBOX = 16 * 1024;

const EMPTY = Buffer.alloc(0);

// What is said of every event is read and written without Buffer's methods for numbers, whose checks take a third of the time
// that an event takes here until they are compiled, and compiling them takes longer still.
const numberAt = (frame, at) => frame[at] * 0x1000000 + ((frame[at + 1] << 16) | (frame[at + 2] << 8) | frame[at + 3]);

function putNumber(frame, at, number) {
  frame[at] = number >>> 24;
  frame[at + 1] = number >>> 16;
  frame[at + 2] = number >>> 8;
  frame[at + 3] = number;
}

// pack makes a frame of its body.
function pack(type, body) {
  const frame = Buffer.allocUnsafe(HEADER + body.length);
  putNumber(frame, 0, body.length);
  frame[4] = type;
  body.copy(frame, HEADER);
  return frame;
}

const parseStart = (frame) => JSON.parse(frame.toString('utf8', HEADER));

class Frames {
  // deliver is called with the head of each event and its payload's text.
  constructor(deliver) {
    this.deliver = deliver;
    this.socket = null; // descriptor 3, once there is more to wait for than Start
    this.began = null; // what takes the Start frame where it comes through the socket
    this.inbox = Buffer.allocUnsafeSlow(64 * 1024);
    this.outbox = null; // what small answers are made in
    this.rest = null; // the beginning of a frame's header
    this.frame = null; // a frame that does not come at once, and how much of it is there
    this.have = 0;
  }

  // start waits for the handler's name and the environment variables. Nothing else can happen before.
  start() {
    if (this.socket) return new Promise((resolve) => { this.began = resolve; });
    let frame = null;
    while (!frame) {
      const n = fs.readSync(FD, this.inbox);
      if (n === 0) gone();
      frame = this.gather(this.inbox.subarray(0, n));
    }
    return parseStart(frame);
  }

  // warm has the first event cost what the others do: its way is made, and Start has gone along it.
  warm() {
    this.openSocket();
  }

  // ready asks for an event: Init is over, or a stream's event.
  ready() {
    this.listen(); // first: the share of the CPU that Init has ends with the frame
    writeAll(FD, pack(READY, EMPTY));
  }

  // respond answers an event and asks for the next. payload is text or bytes.
  respond(head, contentType, payload) {
    this.answer(RESPONSE, head.number, contentType, payload, true);
    this.listen();
  }

  // fail answers an event with an error and asks for the next.
  fail(head, kind, payload) {
    this.answer(ERROR, head.number, kind, payload, true);
    this.listen();
  }

  // crash reports what ends the process: head is the event's, or null in Init.
  crash(head, kind, payload) {
    if (head) this.answer(ERROR, head.number, kind, payload, false);
    else this.answer(INIT_ERROR, 0, kind, payload, false);
  }

  // stream begins an answer that is written bit by bit. What it returns takes the rest of it, up to end or fail. Neither
  // asks for the next event.
  stream(head, contentType, beginning) {
    if (!this.socket) this.openSocket(); // which makes the descriptor one that does not block
    this.socket.unref();
    this.answer(STREAM, head.number, contentType, beginning, false);
    const answer = { over: false };
    return {
      write: (chunk, done) => writeSlowly(FD, chunk, (piece) => pack(CHUNK, piece), answer, done),
      end: (done) => {
        writeAll(FD, pack(END, EMPTY));
        done();
      },
      fail: (kind, payload, done) => {
        answer.over = true;
        this.crash(head, kind, payload);
        done();
      },
    };
  }

  log(text) {
    const record = Buffer.from(text);
    for (let begin = 0; begin < record.length; begin += MAX_LOG_RECORD) {
      writeAll(FD, pack(LOG, record.subarray(begin, begin + MAX_LOG_RECORD)));
    }
  }

  answer(type, number, tag, payload, ready) {
    const text = typeof payload === 'string';
    // No character takes more than three bytes.
    const room = 2 * HEADER + 5 + MAX_TAG + (text ? 3 * payload.length : payload.length);
    const frame = this.outboxOf(room);
    const tagSize = frame.utf8Write(tag, 10);
    let end = 10 + tagSize;
    if (text) end += frame.utf8Write(payload, end);
    else end += payload.copy(frame, end);
    putNumber(frame, 0, end - HEADER);
    frame[4] = type;
    putNumber(frame, 5, number);
    frame[9] = tagSize;
    if (ready) {
      putNumber(frame, end, 0);
      frame[end + 4] = READY;
      end += HEADER;
    }
    writeAll(FD, frame, end);
  }

  // outboxOf returns a buffer to make a frame in and write at once.
  outboxOf(room) {
    if (room > OUTBOX) return Buffer.allocUnsafe(room);
    if (!this.outbox) this.outbox = Buffer.allocUnsafeSlow(OUTBOX);
    return this.outbox;
  }

  // gather takes what was read and returns a frame when it is whole. The daemon sends a Start and then an Event after
  // each Ready, so that nothing ever follows a frame.
  gather(chunk) {
    if (!this.frame) {
      if (this.rest) chunk = Buffer.concat([this.rest, chunk]);
      this.rest = null;
      if (chunk.length < HEADER) {
        this.rest = Buffer.from(chunk);
        return null;
      }
      const size = HEADER + numberAt(chunk, 0);
      if (chunk.length >= size) return chunk;
      this.frame = Buffer.allocUnsafe(size);
      this.have = 0;
    }
    this.have += chunk.copy(this.frame, this.have);
    if (this.have < this.frame.length) return null;
    const whole = this.frame;
    this.frame = null;
    return whole;
  }

  // listen waits for the next event, and keeps the process alive for it. During an invocation nothing of ours
  // does: an empty event loop means something then.
  listen() {
    if (this.socket) this.socket.ref();
    else this.openSocket();
  }

  openSocket() {
    this.socket = listen(FD, this.inbox, (n) => {
      // A small event comes as a whole.
      const whole = !this.frame && !this.rest && n >= HEADER && numberAt(this.inbox, 0) + HEADER === n;
      const frame = whole ? this.inbox : this.gather(this.inbox.subarray(0, n));
      if (!frame) return;
      this.socket.unref();
      if (this.began) this.begin(whole ? frame.subarray(0, n) : frame);
      else this.take(frame, whole ? n : frame.length);
    }, gone);
  }

  begin(frame) {
    this.began(parseStart(frame));
    this.began = null;
  }

  take(frame, end) {
    const payload = HEADER + 4 + numberAt(frame, HEADER);
    this.deliver(JSON.parse(frame.utf8Slice(HEADER + 4, payload)), frame.utf8Slice(payload, end));
  }
}

module.exports = { FD, Frames };
