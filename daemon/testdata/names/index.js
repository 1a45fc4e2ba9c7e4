'use strict';
const fs = require('fs');
const https = require('https');
const http2 = require('http2');
const tls = require('tls');

const HOST = 'lambda.eu-west-1.amazonaws.com';
const PATH = '/2015-03-31/functions';

const settle = (start) => new Promise((resolve) => start(resolve, (err) => resolve((err.cause || err).code || String(err))));

const get = (url, options) => settle((ok, no) => https.get(url, options, (response) => {
  response.resume();
  ok([response.statusCode, response.headers['x-amzn-errortype']]);
}).on('error', no));

// own is a server with a certificate of the function's own authority, where it has one.
async function own() {
  if (!fs.existsSync('/var/task/own.key')) return 'none';
  const server = https.createServer({ key: fs.readFileSync('/var/task/own.key'), cert: fs.readFileSync('/var/task/own.crt') },
    (_request, response) => response.end());
  await new Promise((resolve) => server.listen(8443, '127.0.0.1', resolve));
  const said = await get('https://localhost:8443/', { agent: new https.Agent({ keepAlive: false }) });
  server.close();
  return said;
}

exports.handler = async () => ({
  https: await get(`https://${HOST}${PATH}`, {}),
  agent: await get(`https://${HOST}${PATH}`, { agent: new https.Agent({ keepAlive: true, maxSockets: 1 }) }),
  'no authority': await get(`https://${HOST}${PATH}`, { ca: tls.rootCertificates[0] }),
  tls: await settle((ok, no) => {
    const s = tls.connect({ host: HOST, port: 443, servername: HOST, ALPNProtocols: ['h2'] }, () => {
      ok([s.authorized, s.alpnProtocol, s.getPeerCertificate().subjectaltname]);
      s.destroy();
    }).on('error', no);
  }),
  fetch: await settle((ok, no) => fetch(`https://${HOST}${PATH}`).then((r) => ok([r.status, r.headers.get('x-amzn-errortype')]), no)),
  http2: await settle((ok, no) => {
    const client = http2.connect(`https://${HOST}`).on('error', no);
    client.request({ ':path': PATH }).on('response', (headers) => {
      client.destroy();
      ok([headers[':status'], headers['x-amzn-errortype']]);
    }).on('error', no);
  }),
  child: require('child_process').execFileSync(process.execPath, ['-e',
    `require('https').get('https://${HOST}${PATH}', (r) => { r.resume(); console.log(r.statusCode) }).on('error', (e) => console.log(e.code))`],
  { encoding: 'utf8' }).trim(),
  own: await own(),
  zygote: !fs.readFileSync('/proc/self/environ', 'utf8').includes('_HANDLER='),
});
