#!/usr/bin/env python3
"""Creates a machine with a signed request: create_vm.py [URL]. Needs eth-account and requests.

The key comes from PRIVATE_KEY; without one a new key is made, which the service must let in (registration = "open")."""
import json
import os
import sys
import time

import requests
from eth_account import Account
from eth_account.messages import encode_defunct

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3003"
private_key = os.environ.get("PRIVATE_KEY") or Account.create().key.hex()
account = Account.from_key(private_key)

# What is signed: the path, the time, and the body as json.dumps writes it with sorted keys.
timestamp = int(time.time())
path = "/vm/create"
data = {"name": "my-vm", "formfile": "NAME my-vm\nVCPU 1\nMEM 512\n"}
data_str = json.dumps(data, sort_keys=True)
message = f"{path}:{timestamp}:{data_str}"
signed_message = Account.sign_message(encode_defunct(text=message), private_key)

response = requests.post(
    url + path,
    headers={
        "X-Signature": signed_message.signature.hex(),
        "X-Recovery-ID": str(signed_message.v - 27),
        "X-Timestamp": str(timestamp),
        "X-Address": account.address,
    },
    json=data,
    timeout=60,
)
print(response.status_code, json.dumps(response.json(), indent=2))
sys.exit(0 if response.ok else 1)
