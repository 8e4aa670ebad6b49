// Calls clients from npm: one JSON object per line in, one per line out. A client's own answer is given back as it is.
'use strict';

const readline = require('readline');

const QcloudApi = require('qcloudapi-sdk');
const { Capi } = require('@tencent-sdk/capi');
const { AbstractClient } = require('tencentcloud-sdk-nodejs-common/tencentcloud/common/abstract_client');

// The SDK's answers are those of the later API; the legacy one has no `Response` around them.
class LegacyClient extends AbstractClient {
  constructor(endpoint, path, options) {
    super(endpoint, '2017-03-12', options);
    this.path = path;
  }

  async parseResponse(response) {
    if (response.status !== 200) {
      throw new Error(`HTTP status ${response.status}`);
    }
    return response.json();
  }
}

const clients = {
  'qcloudapi-sdk': (ask) =>
    new Promise((resolve, reject) => {
      const client = new QcloudApi({
        SecretId: ask.key.secretId,
        SecretKey: ask.key.secretKey,
        Region: ask.region,
        path: ask.path,
        method: ask.method,
        signatureMethod: ask.digest === 'HmacSHA256' ? 'sha256' : 'sha1',
      });
      const options = { host: ask.endpoint, method: ask.method };
      const data = { Action: ask.action, ...ask.parameters };
      client.request(data, options, (error, body) => (error ? reject(error) : resolve(body)), {
        strictSSL: true,
      });
    }),

  '@tencent-sdk/capi': (ask) => {
    const client = new Capi({
      secretId: ask.key.secretId,
      secretKey: ask.key.secretKey,
      token: ask.parameters.Token,
      region: ask.region,
      host: ask.endpoint,
      path: ask.path,
      method: ask.method,
      serviceType: 'vpc',
      version: '2017-03-12',
      signatureMethod: ask.digest === 'HmacSHA256' ? 'sha256' : 'sha1',
      // The later API's parameters begin with capitals, the legacy one's do not.
      isPascalCase: false,
    });
    return client.request({ Action: ask.action, ...ask.parameters }, {});
  },

  'tencentcloud-sdk-nodejs-common': (ask) => {
    const client = new LegacyClient(ask.endpoint, ask.path, {
      credential: { ...ask.key, token: ask.parameters.Token },
      region: ask.region,
      profile: {
        signMethod: ask.digest,
        httpProfile: { reqMethod: ask.method, reqTimeout: 20 },
      },
    });
    return client.request(ask.action, ask.parameters);
  },
};

// The clock that clients see can be told to be wrong.
const truth = Date;
function shifted(secs) {
  return class extends truth {
    constructor(...rest) {
      if (rest.length) {
        super(...rest);
      } else {
        super(truth.now() + secs * 1000);
      }
    }

    static now() {
      return truth.now() + secs * 1000;
    }
  };
}

async function serve() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const ask = JSON.parse(line);
    let reply;
    try {
      global.Date = ask.clock ? shifted(ask.clock) : truth;
      const calling = clients[ask.client](ask);
      const answer = await calling;
      reply = { answer };
    } catch (error) {
      reply = { fault: String((error && error.stack) || error) };
    } finally {
      global.Date = truth;
    }
    process.stdout.write(JSON.stringify(reply) + '\n');
  }
}

serve();
