// Has ES modules find packages where NODE_PATH says, as Lambda's do, in a process without a root of its own, whose
// directories above are the host's. A hook of Node.js's module loader.

import { pathToFileURL } from 'node:url';

const places = (process.env.NODE_PATH || '').split(':').filter((dir) => dir.endsWith('/node_modules'));

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (err) {
    if (err.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^[a-z]+:/.test(specifier)) throw err;
    for (const dir of places) {
      try {
        return await next(specifier, { ...context, parentURL: pathToFileURL(`${dir}/../any.mjs`).href });
      } catch (other) {
        if (other.code !== 'ERR_MODULE_NOT_FOUND') throw other;
      }
    }
    throw err;
  }
}
