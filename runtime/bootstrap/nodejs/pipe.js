'use strict';
// Reads a socket's descriptor in the event loop as net does, but without net, which takes longer to load and set up than most
// functions' Init.

const { binding } = require('./binding.js');
const { withCompiled } = require('./compiled.js');

// listen has what comes over a descriptor read into a buffer: took is called with how much there is, gone at the end. The
// descriptor no longer blocks. What it returns keeps the process alive between ref and unref, which it does at first.
function listen(fd, buffer, took, gone) {
  const pipes = binding('pipe_wrap');
  const streams = binding('stream_wrap');
  if (pipes && pipes.Pipe && pipes.constants && streams && streams.streamBaseState && streams.kReadBytesOrError !== undefined) {
    return listenBeneath(pipes, streams, fd, buffer, took, gone);
  }
  const { Socket } = withCompiled(() => require('net'));
  const socket = new Socket({
    fd,
    readable: true,
    writable: true,
    // One buffer for all that comes, without the machinery of streams.
    onread: {
      buffer,
      callback: (n) => {
        took(n);
        return true;
      },
    },
  });
  socket.on('end', gone).on('error', gone);
  return socket.resume();
}

function listenBeneath({ Pipe, constants }, { streamBaseState, kReadBytesOrError }, fd, buffer, took, gone) {
  const pipe = new Pipe(constants.SOCKET);
  pipe.open(fd);
  pipe.useUserBuffer(buffer);
  pipe.onread = () => {
    const n = streamBaseState[kReadBytesOrError];
    if (n > 0) took(n);
    else if (n < 0) gone();
  };
  pipe.readStart();
  return pipe;
}

module.exports = { listen };
