'use strict';
// Writing to and reading from a socket's descriptor at once, whatever the event loop is doing: log records and answers
// keep their order, and an answer is out before the process ends.

const fs = require('fs');

const pause = new Int32Array(new SharedArrayBuffer(4));

// gone ends the process when the daemon has let go of this environment: there is nobody to tell.
const gone = () => process.exit(0);

// tryWrite writes what a socket takes now of a part of a buffer, which may be nothing.
function tryWrite(fd, buffer, begin, end) {
  try {
    return fs.writeSync(fd, buffer, begin, end - begin);
  } catch (err) {
    if (err.code === 'EPIPE' || err.code === 'ECONNRESET') gone();
    if (err.code !== 'EAGAIN') throw err;
    return 0;
  }
}

// writeAll writes a buffer up to end.
function writeAll(fd, buffer, end = buffer.length) {
  for (let done = tryWrite(fd, buffer, 0, end); done < end;) {
    const n = tryWrite(fd, buffer, done, end);
    // The socket is full and does not block: let the other side read.
    if (n === 0) wait();
    done += n;
  }
}

// PIECE is what writeSlowly writes at a time: a Unix socket takes that as a whole or not at all.
const PIECE = 16 * 1024;

// writeSlowly writes a buffer in pieces, each as packed by pack, while the other side takes them, and calls done. The event
// loop goes on between pieces. Nothing more is written once answer.over is set.
function writeSlowly(fd, buffer, pack, answer, done) {
  for (let begin = 0; begin < buffer.length; begin += PIECE) {
    if (answer.over) return;
    const packed = pack(buffer.subarray(begin, begin + PIECE));
    const written = tryWrite(fd, packed, 0, packed.length);
    if (written === 0) {
      setTimeout(writeSlowly, 1, fd, buffer.subarray(begin), pack, answer, done);
      return;
    }
    if (written < packed.length) writeAll(fd, packed.subarray(written));
  }
  done();
}

// readSome reads what there is, and waits if there is nothing. It returns 0 at the end.
function readSome(fd, buffer) {
  for (;;) {
    try {
      return fs.readSync(fd, buffer);
    } catch (err) {
      if (err.code === 'ECONNRESET') return 0;
      if (err.code !== 'EAGAIN') throw err;
      wait();
    }
  }
}

// wait sleeps for a fifth of a millisecond.
function wait() {
  Atomics.wait(pause, 0, 0, 0.2);
}

module.exports = { gone, writeAll, writeSlowly, readSome };
