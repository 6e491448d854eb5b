// Signs one link of a capability with viem's EIP-712: capability.mjs KEY LINK-AS-JSON -> {"signature", "digest"}.
import { hashTypedData } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [key, link] = process.argv.slice(2);
const { vm, to, actions, expires, nonce, parent } = JSON.parse(link);
const typed = {
    domain: { name: "vmm-service", version: "1" },
    types: {
        Capability: [
            { name: "vm", type: "string" },
            { name: "to", type: "address" },
            { name: "actions", type: "string[]" },
            { name: "expires", type: "uint256" },
            { name: "nonce", type: "uint256" },
            { name: "parent", type: "bytes32" },
        ],
    },
    primaryType: "Capability",
    message: { vm, to, actions, expires: BigInt(expires), nonce: BigInt("0x" + nonce), parent },
};
console.log(JSON.stringify({ signature: await privateKeyToAccount(key).signTypedData(typed), digest: hashTypedData(typed) }));
