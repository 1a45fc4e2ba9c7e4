'use strict';
// Writing to and reading from a socket's descriptor at once, whatever the event loop is doing: log records and answers
// keep their order, and an answer is out before the process ends.

const fs = require('fs');

const pause = new Int32Array(new SharedArrayBuffer(4));

// gone ends the process when the daemon has let go of this environment: there is nobody to tell.
const gone = () => process.exit(0);

// writeAll writes a whole buffer.
function writeAll(fd, buffer) {
  let done = 0;
  for (;;) {
    try {
      done += fs.writeSync(fd, buffer, done);
    } catch (err) {
      if (err.code === 'EPIPE' || err.code === 'ECONNRESET') gone();
      if (err.code !== 'EAGAIN') throw err;
      // The socket is full and does not block: let the other side read.
      wait();
    }
    if (done >= buffer.length) return;
  }
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

module.exports = { gone, writeAll, readSome };
