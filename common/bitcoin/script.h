// Output scripts the wallet pays to and from: their construction, recognition and dust limits.
//
// Invariant: classify(p2x_script(..)) is P2x. Scripts are recognised by their exact bytes; nothing
// is executed.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/bytes.h"

namespace roulette::bitcoin {

enum class ScriptType : std::uint8_t {
  P2tr,            // BIP 341: OP_1 <32 bytes>
  P2wpkh,          // BIP 141: OP_0 <20 bytes>
  P2wsh,           // BIP 141: OP_0 <32 bytes>
  P2pkh,
  P2sh,
  NullData,        // OP_RETURN ...: unspendable
  FutureWitness,   // another witness version or length: anyone can spend it today
  Other,
};

[[nodiscard]] const char* script_type_name(ScriptType type);

[[nodiscard]] Bytes p2tr_script(const ByteArray<32>& xonly_output_key);
[[nodiscard]] Bytes p2wpkh_script(const ByteArray<20>& key_hash);
[[nodiscard]] Bytes p2wsh_script(const Hash32& script_hash);

struct WitnessProgram {
  std::uint8_t version = 0;  // 0..16
  Bytes program;             // 2..40 bytes
  friend bool operator==(const WitnessProgram&, const WitnessProgram&) = default;
};

[[nodiscard]] ScriptType classify(ByteSpan script);
// BIP 141: OP_0 or OP_1..OP_16 and one direct push of 2..40 bytes; nothing for any other script.
[[nodiscard]] std::optional<WitnessProgram> witness_program(ByteSpan script);
[[nodiscard]] Bytes witness_script(const WitnessProgram& program);
// The x-only output key of a P2TR script.
[[nodiscard]] std::optional<ByteArray<32>> p2tr_output_key(ByteSpan script);

// The least amount a node relays for such an output at its default dust rate of 3000 sat/kvB: P2TR
// and P2WSH 330, P2WPKH 294, P2PKH 546, P2SH 540; 0 for the unspendable.
[[nodiscard]] std::int64_t dust_limit_sat(ByteSpan script);

}  // namespace roulette::bitcoin
