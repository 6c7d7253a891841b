// Transactions inside a larger byte string: what parse_transaction and parse_block share.
//
// Invariant: read_transaction either leaves the reader ok behind a well-formed transaction or makes
// it fail with the reason. Trailing bytes are the caller's business.
#pragma once

#include "common/bitcoin/encoding.h"
#include "common/bitcoin/transaction.h"

namespace roulette::bitcoin {

void write_outpoint(Writer& out, const OutPoint& outpoint);
void write_output(Writer& out, const TxOut& output);
[[nodiscard]] Transaction read_transaction(Reader& in);

}  // namespace roulette::bitcoin
