'use strict';
// Errors as Lambda's Node.js runtime names, describes and logs them.

const { types } = require('util');

class RuntimeError extends Error {
  constructor(kind, message) {
    super(message);
    Object.defineProperty(this, 'name', { value: `Runtime.${kind}` });
  }
}

// Unhandled is a promise that was rejected and that nobody was waiting for.
class Unhandled extends Error {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
}
Unhandled.prototype.name = 'Runtime.UnhandledPromiseRejection';

// What Lambda says of an error whose properties cannot be read.
const UNREADABLE = 'callback called with Error argument, but there was a problem while retrieving one or more of its ' +
  'message, name, and stack';

function isError(err) {
  return types.isNativeError(err) ||
    Boolean(err) && ['name', 'message', 'stack'].every((field) => err[field] && typeof err[field] === 'string');
}

// describe is the body of an error that was thrown, whatever was thrown.
function describe(err) {
  try {
    if (isError(err)) {
      return {
        errorType: plain(err.name),
        errorMessage: plain(err.message),
        trace: plain(err.stack).split('\n'),
      };
    }
    return { errorType: typeof err, errorMessage: err.toString(), trace: [] };
  } catch (_) { // a field that throws or is no text
    return { errorType: 'handled', errorMessage: UNREADABLE };
  }
}

// plain writes what may not stand in a header the way Lambda does.
function plain(text) {
  return text === undefined ? text : text.replace(/\x7f/g, '%7F');
}

// intoError throws for what has no text.
function intoError(err) {
  return err instanceof Error ? err : new Error(err);
}

// logged is an error as a log line shows it, with the fields the function gave it.
function logged(err) {
  err = intoError(err);
  try {
    return '\t' + JSON.stringify(err, (_key, value) => (value instanceof Error ? fields(value) : value));
  } catch (_) {
    return '\t' + JSON.stringify(describe(err));
  }
}

function fields(err) {
  const all = Object.assign({ errorType: err.name, errorMessage: err.message, code: err.code }, err);
  if (typeof err.stack === 'string') all.stack = err.stack.split('\n');
  return all;
}

module.exports = { RuntimeError, Unhandled, describe, intoError, logged };
