'use strict';
// The console as Lambda's Node.js runtime has it: every call is one log record.

const { format } = require('util');

const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
// Symbols are how Lambda's own runtime shares what it logs of an invocation; log libraries read them.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');
const TENANT_ID = Symbol.for('aws.lambda.runtime.tenantId');

// patchConsole has the console write records to log, and returns what writes an error there as Lambda's runtime does.
function patchConsole(log) {
  const json = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const least = LEVELS[(process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()] || LEVELS.TRACE;
  const record = json ? jsonRecord : textRecord;
  // The first parameter is there even when it is not given: console.log() logs "undefined".
  const at = (level) => (LEVELS[level] >= least || level === 'FATAL'
    ? (message, ...params) => log(record(level, [message, ...params]))
    : () => {});
  console.trace = at('TRACE');
  console.debug = at('DEBUG');
  console.log = console.info = at('INFO');
  console.warn = at('WARN');
  console.error = at('ERROR');
  console.fatal = at('FATAL');
  const errors = () => require('./errors.js'); // loaded when there is one
  return json
    ? (_title, err) => console.error(errors().intoError(err))
    : (title, err) => console.error(title, errors().logged(err));
}

function textRecord(level, args) {
  return `${new Date().toISOString()}\t${globalThis[REQUEST_ID]}\t${level}\t${format(...args)}\n`;
}

function jsonRecord(level, args) {
  const record = { timestamp: new Date().toISOString(), level, requestId: globalThis[REQUEST_ID] };
  if (globalThis[TENANT_ID] !== undefined) record.tenantId = globalThis[TENANT_ID];
  if (args.length === 1) {
    record.message = args[0];
    try {
      return JSON.stringify(record, (_key, value) => (value instanceof Error ? { ...fields(value), ...value } : value)) + '\n';
    } catch (_) {
      record.message = format(args[0]);
      return JSON.stringify(record) + '\n';
    }
  }
  record.message = format(...args);
  const err = args.find((arg) => arg instanceof Error);
  return JSON.stringify(err ? { ...record, ...fields(err) } : record) + '\n';
}

function fields(err) {
  return {
    errorType: (err.constructor && err.constructor.name) || 'UnknownError',
    errorMessage: err.message,
    stackTrace: typeof err.stack === 'string' ? err.stack.split('\n') : err.stack,
  };
}

module.exports = { REQUEST_ID, TENANT_ID, patchConsole };
