'use strict';
const AWS = require('aws-sdk');

exports.handler = async () => {
  const sts = new AWS.STS();
  const functions = new AWS.Lambda({ region: 'eu-west-1' });
  const who = await sts.getCallerIdentity().promise();
  let denied;
  try {
    denied = await functions.listFunctions().promise();
  } catch (err) {
    denied = err.code;
  }
  return {
    arn: who.Arn, denied, version: AWS.VERSION, endpoints: [sts.endpoint.href, functions.endpoint.href],
    zygote: !require('fs').readFileSync('/proc/self/environ', 'utf8').includes('_HANDLER='),
  };
};
