// Makes the calls that it is told on its standard input with the official Node SDK, one after the
// other, and writes what came of each as a line of JSON.
"use strict";

const { vpc } = require("tencentcloud-sdk-nodejs/tencentcloud/services/vpc");

async function main() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  for (const call of JSON.parse(text)) {
    const client = new vpc.v20170312.Client({
      credential: { secretId: call.secretId, secretKey: call.secretKey },
      region: call.region,
      profile: {
        signMethod: call.signMethod,
        httpProfile: { endpoint: call.endpoint, protocol: call.protocol, reqMethod: call.method },
      },
    });
    let result;
    try {
      // Actions that the SDK has no method for are called by name.
      const answer = client[call.action]
        ? await client[call.action](call.parameters)
        : await client.request(call.action, call.parameters);
      result = { answer };
    } catch (error) {
      result = {
        error: { kind: error.constructor.name, code: error.code, requestId: error.requestId, traceId: error.traceId,
          message: error.message },
      };
    }
    process.stdout.write(JSON.stringify(result) + "\n");
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
