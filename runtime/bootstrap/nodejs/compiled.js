'use strict';
// Has Node.js load its own modules, and ours, compiled. They are brought so, but V8 takes that from a process alone whose flags
// are those with which it was made, which the limit of the heap is not: http and crypto take 16 ms to load then, instead of 6.

const { binding } = require('./binding.js');

const LIMIT = '--max-old-space-size';

// withCompiled calls load with the limit's flag at its default. The heap that there is got its limit when it was made, and
// keeps it; those that are made later, of workers, need the flag, so it comes back.
function withCompiled(load) {
  const limit = process.execArgv.find((flag) => flag.startsWith(LIMIT + '='));
  const v8 = limit && binding('v8');
  if (!v8 || typeof v8.setFlagsFromString !== 'function') return load();
  v8.setFlagsFromString(LIMIT + '=0');
  try {
    return load();
  } finally {
    v8.setFlagsFromString(limit);
  }
}

module.exports = { withCompiled };
