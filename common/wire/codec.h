// Messages as protobuf `Envelope` bytes (roulette.proto, the public signer protocol) and back.
//
// Invariant: decode never throws and never trusts a length; anything that is not exactly one known
// message of sane sizes is an Error of kind Corrupt. Framing (u32 length) is the transport's.
#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/wire/messages.h"

namespace roulette::wire {

[[nodiscard]] Bytes encode_message(const Message& message);
[[nodiscard]] Result<Message> decode_message(ByteSpan bytes);

}  // namespace roulette::wire
