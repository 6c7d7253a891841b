// See script.h: exact byte patterns of BIP 141, BIP 341 and the two legacy hashes.
//
// The dust rule is bitcoind's: three times the size of the output plus that of the input which
// would spend it.
#include "common/bitcoin/script.h"

#include "common/bitcoin/encoding.h"

namespace roulette::bitcoin {
namespace {

constexpr std::uint8_t kOp0 = 0x00;
constexpr std::uint8_t kOp1 = 0x51;
constexpr std::uint8_t kOp16 = 0x60;
constexpr std::uint8_t kOpReturn = 0x6a;
constexpr std::uint8_t kOpDup = 0x76;
constexpr std::uint8_t kOpEqual = 0x87;
constexpr std::uint8_t kOpEqualVerify = 0x88;
constexpr std::uint8_t kOpHash160 = 0xa9;
constexpr std::uint8_t kOpCheckSig = 0xac;

constexpr std::int64_t kDustSatPerByte = 3;
constexpr std::int64_t kWitnessSpendBytes = 67;  // 32 + 4 + 1 + 107 / 4 + 4
constexpr std::int64_t kLegacySpendBytes = 148;

bool is_p2pkh(ByteSpan s) {
  return s.size() == 25 && s[0] == kOpDup && s[1] == kOpHash160 && s[2] == 20 &&
         s[23] == kOpEqualVerify && s[24] == kOpCheckSig;
}

bool is_p2sh(ByteSpan s) {
  return s.size() == 23 && s[0] == kOpHash160 && s[1] == 20 && s[22] == kOpEqual;
}

}  // namespace

const char* script_type_name(ScriptType type) {
  switch (type) {
    case ScriptType::P2tr: return "p2tr";
    case ScriptType::P2wpkh: return "p2wpkh";
    case ScriptType::P2wsh: return "p2wsh";
    case ScriptType::P2pkh: return "p2pkh";
    case ScriptType::P2sh: return "p2sh";
    case ScriptType::NullData: return "null-data";
    case ScriptType::FutureWitness: return "future-witness";
    case ScriptType::Other: return "other";
  }
  return "unknown";
}

Bytes witness_script(const WitnessProgram& program) {
  Bytes out;
  out.reserve(2 + program.program.size());
  out.push_back(program.version == 0 ? kOp0
                                     : static_cast<std::uint8_t>(kOp1 + program.version - 1));
  out.push_back(static_cast<std::uint8_t>(program.program.size()));
  append(out, program.program);
  return out;
}

Bytes p2tr_script(const ByteArray<32>& key) {
  return witness_script({1, Bytes(key.begin(), key.end())});
}

Bytes p2wpkh_script(const ByteArray<20>& hash) {
  return witness_script({0, Bytes(hash.begin(), hash.end())});
}

Bytes p2wsh_script(const Hash32& hash) {
  return witness_script({0, Bytes(hash.begin(), hash.end())});
}

std::optional<WitnessProgram> witness_program(ByteSpan script) {
  if (script.size() < 4 || script.size() > 42) return std::nullopt;
  if (script[0] != kOp0 && (script[0] < kOp1 || script[0] > kOp16)) return std::nullopt;
  if (script[1] != script.size() - 2) return std::nullopt;
  WitnessProgram out;
  out.version = script[0] == kOp0 ? std::uint8_t{0}
                                  : static_cast<std::uint8_t>(script[0] - kOp1 + 1);
  out.program.assign(script.begin() + 2, script.end());
  return out;
}

ScriptType classify(ByteSpan script) {
  if (const auto program = witness_program(script)) {
    const std::size_t size = program->program.size();
    if (program->version == 0 && size == 20) return ScriptType::P2wpkh;
    if (program->version == 0 && size == 32) return ScriptType::P2wsh;
    if (program->version == 1 && size == 32) return ScriptType::P2tr;
    // Version 0 of another length is invalid to spend, not open to anyone (BIP 141).
    return program->version == 0 ? ScriptType::Other : ScriptType::FutureWitness;
  }
  if (is_p2pkh(script)) return ScriptType::P2pkh;
  if (is_p2sh(script)) return ScriptType::P2sh;
  if (!script.empty() && script[0] == kOpReturn) return ScriptType::NullData;
  return ScriptType::Other;
}

std::optional<ByteArray<32>> p2tr_output_key(ByteSpan script) {
  if (classify(script) != ScriptType::P2tr) return std::nullopt;
  return to_array<32>(script.subspan(2));
}

std::int64_t dust_limit_sat(ByteSpan script) {
  if (!script.empty() && script[0] == kOpReturn) return 0;
  const auto output_bytes =
      static_cast<std::int64_t>(8 + compact_size_bytes(script.size()) + script.size());
  const std::int64_t spend_bytes =
      witness_program(script) ? kWitnessSpendBytes : kLegacySpendBytes;
  return kDustSatPerByte * (output_bytes + spend_bytes);
}

}  // namespace roulette::bitcoin
