'use strict';

// binding is what Node.js is made of beneath its modules, or null where it does not give that away any more.
function binding(name) {
  const quiet = process.noDeprecation;
  // The warning is not for the function, which cannot help it. Where --no-deprecation says so already it is read-only.
  if (!quiet) process.noDeprecation = true;
  try {
    return process.binding(name);
  } catch (_) {
    return null;
  } finally {
    if (quiet === undefined) delete process.noDeprecation;
    else if (!quiet) process.noDeprecation = quiet;
  }
}

module.exports = { binding };
