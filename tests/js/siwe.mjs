// Builds a sign-in message with the siwe package and signs it with viem: siwe.mjs KEY FIELDS-AS-JSON -> {"message", "signature"}.
import { SiweMessage } from "siwe";
import { privateKeyToAccount } from "viem/accounts";

const [key, fields] = process.argv.slice(2);
const account = privateKeyToAccount(key);
const message = new SiweMessage({ address: account.address, version: "1", ...JSON.parse(fields) }).prepareMessage();
console.log(JSON.stringify({ message, signature: await account.signMessage({ message }) }));
