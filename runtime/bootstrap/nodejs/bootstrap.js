'use strict';
// What Node.js is started with. It runs the bootstrap proper, main.js and what that needs, as it was compiled when it was
// installed (runtime/onefile.go), because parsing takes a millisecond more.

const fs = require('fs');
const { withCompiled } = require('./compiled.js');

// compiled returns what main.js is: a function of require and of the directory. Code that does not fit to this Node.js and its
// flags is compiled again from the text that comes after it.
function compiled() {
  const installed = fs.readFileSync(`${__dirname}/main.compiled`);
  const text = 4 + installed.readUInt32LE(0);
  const { Script } = require('vm');
  const options = { filename: `${__dirname}/main.js`, cachedData: installed.subarray(4, text) };
  return new Script(installed.latin1Slice(text), options).runInThisContext();
}

require.import = (url) => import(url); // a script by itself may not
withCompiled(compiled)(require, __dirname);
