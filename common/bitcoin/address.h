// Segwit addresses: Bech32 (BIP 173) and Bech32m (BIP 350), and the way between addresses and
// scripts.
//
// Invariant: address_from_script(script_from_address(a)) == lower-case a. An address that is
// refused is refused with what is wrong with it; a wrong character is located when there is exactly
// one. Legacy base58 is not supported.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/bitcoin/script.h"

namespace roulette::bitcoin {

inline constexpr std::string_view kRegtestHrp = "bcrt";
inline constexpr std::string_view kTestnetHrp = "tb";
inline constexpr std::string_view kMainnetHrp = "bc";
inline constexpr std::size_t kMaxAddressLength = 90;  // BIP 173

enum class Bech32Variant : std::uint8_t { Bech32, Bech32m };

struct Bech32Text {
  std::string hrp;  // lower case
  Bytes data;       // values 0..31, without the checksum
  Bech32Variant variant = Bech32Variant::Bech32m;
};

[[nodiscard]] std::string encode_bech32(const Bech32Text& text);
[[nodiscard]] Result<Bech32Text> decode_bech32(std::string_view text);

// Any witness version and length BIP 350 allows; errors are of kind Refused.
[[nodiscard]] Result<WitnessProgram> decode_segwit_address(std::string_view address,
                                                           std::string_view hrp = kRegtestHrp);
[[nodiscard]] Result<std::string> encode_segwit_address(const WitnessProgram& program,
                                                        std::string_view hrp = kRegtestHrp);

// The script to pay: P2TR, P2WPKH or P2WSH only. Later witness versions are refused: anyone could
// spend them today.
[[nodiscard]] Result<Bytes> script_from_address(std::string_view address,
                                                std::string_view hrp = kRegtestHrp);
[[nodiscard]] Result<std::string> address_from_script(ByteSpan script,
                                                      std::string_view hrp = kRegtestHrp);

}  // namespace roulette::bitcoin
