'use strict';
// Finds and loads the function a handler names, in the order of Lambda's own runtime.

const fs = require('fs');
const path = require('path');

// What require('module') returns, which takes a millisecond to load.
const Module = require.main.constructor;

// What fails to load is required by a file of this name, as on Lambda.
const require_ = Module.createRequire(path.join(__dirname, 'index.mjs'));
const typescript = parseInt(process.versions.node, 10) >= 24;
const fault = (kind, message) => new (require('./errors.js').RuntimeError)(kind, message);
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

// These lead ES modules to layers and the SDK (runtime/root.go). What is required goes by NODE_PATH, which has an order of
// its own for the layers of one version of Node.js.
const modulePaths = Module._nodeModulePaths;
Module._nodeModulePaths = (from) => modulePaths(from).filter((dir) => dir !== '/var/node_modules' && dir !== '/node_modules');

// loadHandler returns the function that handler ("dir/module.export.path") names under root.
async function loadHandler(root, handler) {
  if (handler.includes('..')) {
    throw fault('MalformedHandlerName',
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(handler);
  const dir = handler.substring(0, handler.indexOf(base));
  const dot = base.indexOf('.');
  if (dot < 0) throw fault('MalformedHandlerName', 'Bad handler');

  let found;
  try {
    found = await loadModule(root, dir, base.substring(0, dot));
  } catch (err) {
    if (err instanceof SyntaxError) throw fault('UserCodeSyntaxError', String(err));
    if (err && err.code === 'MODULE_NOT_FOUND') throw fault('ImportModuleError', String(err));
    throw err;
  }
  for (const name of base.substring(dot + 1).split('.')) found = found && found[name];
  if (!found) throw fault('HandlerNotFound', `${handler} is undefined or not exported`);
  if (typeof found !== 'function') throw fault('HandlerNotFound', `${handler} is not a function`);
  return found;
}

async function loadModule(root, dir, name) {
  const file = path.resolve(root, dir, name);
  const isModule = inModulePackage(path.dirname(file));
  const required = (extension) => fs.existsSync(file + extension) && require_(file + extension);
  const imported = (extension) => fs.existsSync(file + extension) && require.import(require('url').pathToFileURL(file + extension).href);
  return required('') ||
    (isModule ? await imported('.js') : required('.js')) ||
    await imported('.mjs') ||
    required('.cjs') ||
    (typescript && ((isModule ? await imported('.ts') : required('.ts')) || await imported('.mts') || required('.cts'))) ||
    require_(require_.resolve(name, { paths: [root, path.resolve(root, dir)] }));
}

// inModulePackage says whether .js files of a folder are ES modules: the nearest package.json decides.
function inModulePackage(folder) {
  if (folder.endsWith('/node_modules')) return false;
  const file = path.join(folder, 'package.json');
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
    } catch (err) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, err);
      return false;
    }
  }
  return folder !== '/' && inModulePackage(path.dirname(folder));
}

// forgetPaths makes Node.js look again where code has appeared since it started.
function forgetPaths() {
  for (const key of Object.keys(Module._pathCache)) delete Module._pathCache[key];
  Module._initPaths();
}

// followNodePath has ES modules find what NODE_PATH names, where there is no root whose directories do that. It takes a
// thread, and a Node.js that is new enough.
function followNodePath() {
  const { register } = require('module');
  if (register) register(require('url').pathToFileURL(path.join(__dirname, 'nodepath.mjs')));
}

// offerStreaming defines the global with which a function marks a handler that streams its response.
function offerStreaming() {
  if (/^(1|true)$/.test(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA || '')) return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = 'response';
      if (options && typeof options.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      return handler;
    },
    get HttpResponseStream() {
      return require('./streaming.js').HttpResponseStream;
    },
  };
}

function isStreaming(handler) {
  const mark = handler[STREAMING];
  if (!mark) return false;
  if (mark !== 'response') throw fault('MalformedStreamingHandler', 'Only response streaming is supported.');
  return true;
}

// highWaterMark is how many bytes a handler's stream keeps before it asks for patience; undefined is Node.js's own measure.
function highWaterMark(handler) {
  const bytes = parseInt(handler[HIGH_WATER_MARK], 10);
  return bytes >= 0 ? bytes : undefined;
}

module.exports = { loadHandler, forgetPaths, followNodePath, offerStreaming, isStreaming, highWaterMark };
