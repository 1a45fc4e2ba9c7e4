'use strict';
// Makes TLS trust the authority of this installation too. Node.js brings authorities of its own and looks at no others
// but those of NODE_EXTRA_CA_CERTS. From version 24 on this is how it is started, and there is nothing left to do. In
// older ones the variable doubles the time that Node.js takes to start.

const fs = require('fs');
const { binding } = require('./binding.js');

const ANCHOR = '/etc/pki/ca-trust/source/anchors/hotaru.pem';

// trust adds the authority to every secure context that has Node.js's own authorities, which is each one for which the
// function names no others: of tls, https, http2 and fetch, however they were loaded.
function trust(anchor = ANCHOR) {
  if (process.env.NODE_EXTRA_CA_CERTS === anchor || !fs.existsSync(anchor)) return;
  const add = adder(anchor, process.env.NODE_EXTRA_CA_CERTS);
  const prototype = secureContexts();
  if (prototype) {
    const { addRootCerts } = prototype;
    prototype.addRootCerts = function () {
      addRootCerts.call(this);
      add(this);
    };
    return;
  }
  const tls = require('tls');
  const { createSecureContext } = tls;
  tls.createSecureContext = (options) => {
    const made = createSecureContext(options);
    if (!options || !options.ca) add(made.context);
    return made;
  };
  require('module').syncBuiltinESMExports();
}

// adder returns what adds the authority to a context. With the first one that is added a context forgets those of
// NODE_EXTRA_CA_CERTS, so they are added again; about a file that is no good Node.js has warned already.
function adder(anchor, extra) {
  let authority, others;
  return (context) => {
    if (!authority) {
      authority = fs.readFileSync(anchor);
      try {
        others = extra && fs.readFileSync(extra);
      } catch (_) {
        others = null;
      }
    }
    context.addCACert(authority);
    if (!others) return;
    try {
      context.addCACert(others);
    } catch (_) {
      others = null;
    }
  };
}

// secureContexts is what all secure contexts have in common. It is there before tls is, which takes 3 ms to load and
// which most functions never need. From version 24 on Node.js does not give it away any more.
function secureContexts() {
  const crypto = binding('crypto');
  const prototype = crypto && crypto.SecureContext && crypto.SecureContext.prototype;
  return prototype && typeof prototype.addRootCerts === 'function' && typeof prototype.addCACert === 'function' ? prototype : null;
}

// trustChildren makes the Node.js programs that the function starts trust it as well, if the function has no authority
// of its own for them.
function trustChildren(anchor = ANCHOR) {
  if (!process.env.NODE_EXTRA_CA_CERTS && fs.existsSync(anchor)) process.env.NODE_EXTRA_CA_CERTS = anchor;
}

module.exports = { trust, trustChildren };
