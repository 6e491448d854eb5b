// Web3 Secret Storage by ethers: keystore.mjs read FILE PASSWORD -> key; keystore.mjs write KEY PASSWORD -> file.
import { readFileSync } from "node:fs";
import { Wallet, decryptKeystoreJson, encryptKeystoreJsonSync } from "ethers";
const [what, subject, password] = process.argv.slice(2);
if (what === "read") {
    console.log((await decryptKeystoreJson(readFileSync(subject, "utf8"), password)).privateKey);
} else {
    const wallet = new Wallet(subject);
    console.log(encryptKeystoreJsonSync({ address: wallet.address, privateKey: wallet.privateKey }, password, { scrypt: { N: 1024, r: 8, p: 1 } }));
}
