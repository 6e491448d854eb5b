// Signs a request with ethers or viem: sign.mjs LIBRARY KEY MESSAGE -> {"address", "signature"}.
const [library, key, message] = process.argv.slice(2);
if (library === "ethers") {
    const { Wallet } = await import("ethers");
    const wallet = new Wallet(key);
    console.log(JSON.stringify({ address: wallet.address, signature: await wallet.signMessage(message) }));
} else {
    const { privateKeyToAccount } = await import("viem/accounts");
    const account = privateKeyToAccount(key);
    console.log(JSON.stringify({ address: account.address, signature: await account.signMessage({ message }) }));
}
