#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make NAME.h and NAME.c from spec/messages/NAME.toml: gen-messages.py source INPUT OUTPUT.h OUTPUT.c

One file declares one service of our RPC: its methods, and the messages that requests, replies and pieces are made of.

    service = "vault"         # HfRpcOptions.service
    prefix = "vault"          # C names: HfVaultPutBegin, hf_vault_put_begin_encode, HF_VAULT_METHOD_PUT_BEGIN
    version = 1               # the newest; a higher one may add fields, methods and enum values, and takes nothing away
    oldest = 1                # the oldest that is still spoken
    help = "what the service is for"

    [[enum]]                  # HF_VAULT_KIND_DATA...
    name = "Kind"
    help = "..."
    values = [{ name = "data", number = 0, help = "..." }]      # help may be left out

    [[struct]]
    name = "PutBegin"
    help = "..."
    fields = [
      { name = "path", type = "text", max = 200, help = "..." },
      { name = "session", type = "id16" },
      { name = "ids", type = "id32", list = 65536 },
      { name = "frames", type = "Frame", list = 1000 },
      { name = "kind", type = "Kind" },
      { name = "key", type = "bytes", max = 64, secret = true },
      { name = "lock_days", type = "u32", optional = true },
      { name = "note", type = "text", max = 4096, since = 2 },
    ]

    [[method]]                # number 1 to 65535, never used again for something else
    number = 1
    name = "put-begin"
    request = "PutBegin"      # the struct; left out: empty
    reply = "PutDone"         # the struct; left out: empty
    sends = "..."             # what the caller's pieces are, in words; left out: none
    receives = "..."          # what the handler's pieces are
    since = 1
    help = "..."

Types: u8 u16 u32 u64 i64 bool text bytes id16 id32, or the name of an enum or struct of the same file that stands above.
`max` (bytes) is required of text and bytes, `list` is the most elements of a list. `optional` goes with everything but
lists. `secret` wipes the field when the struct is cleared. A field with `since` stands after all older ones; what an older
sender left out reads as zero, empty or absent.

In C (header net/messages/NAME.h):

    HfVaultPutBegin m = { 0 };                       every struct starts as zeros; g_auto(HfVaultPutBegin) clears it
    u8 ... bool, enum   plain member; text: char * (owned, never NULL after decoding unless optional and absent)
    bytes               GBytes * (never NULL after decoding unless optional and absent)
    id16, id32          HfShortId, HfId;  struct: the struct itself
    optional            has_NAME beside it for numbers, ids, enums; a pointer for structs; NULL for text and bytes
    list                T *ids; guint n_ids;  one more: hf_vault_put_begin_add_ids(&m, ...): takes a copy of an id, number
                        or text, a reference of bytes; of structs it returns the new element, zeroed
    hf_vault_put_begin_clear(&m);
    GBytes *hf_vault_put_begin_encode(&m, &error);   HF_ERROR_USAGE when a limit is broken
    hf_vault_put_begin_decode(gbytes, &m, &error);   m must be zeros; HF_ERROR_INVALID; _decode_bytes(data, length, ...)
    hf_vault_call_put_begin(rpc, &request, &reply, timeout_ms, &error);       for methods without pieces
    HF_VAULT_SERVICE, HF_VAULT_VERSION, HF_VAULT_OLDEST, hf_vault_method_name(number)
Members without a request or reply lose that argument. Texts must be UTF-8 without NUL. docs/protocol.md has the bytes.
"""
