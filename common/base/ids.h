// Strong types for identifiers: a signer's number cannot be passed where a coordinator's is wanted.
//
// All process numbers are 0-based; a signer's number is its BIP 445 participant id.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "common/base/bytes.h"

namespace roulette {

template <class Tag, class Rep>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}
  [[nodiscard]] constexpr const Rep& value() const { return value_; }
  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;

 private:
  Rep value_{};
};

using SignerId = StrongId<struct SignerIdTag, std::uint16_t>;
using CoordinatorId = StrongId<struct CoordinatorIdTag, std::uint16_t>;
using LedgerId = StrongId<struct LedgerIdTag, std::uint16_t>;

// Drawn by the coordinator that first proposes the withdrawal; 16 random bytes.
using WithdrawalId = StrongId<struct WithdrawalIdTag, ByteArray<16>>;
// A process start: 16 random bytes drawn at start, never stored or derived (DESIGN 6.1). A signer's
// is its nonce epoch.
using BootId = StrongId<struct BootIdTag, ByteArray<16>>;
// The host's number for one open connection; never reused within a process.
using ConnectionId = StrongId<struct ConnectionIdTag, std::uint64_t>;

enum class Role : std::uint8_t {
  Signer = 1,
  Coordinator = 2,
  Ledger = 3,
  Etcd = 4,
  Bitcoind = 5,
  Tool = 6
};

[[nodiscard]] inline const char* role_name(Role role) {
  switch (role) {
    case Role::Signer:
      return "signer";
    case Role::Coordinator:
      return "coordinator";
    case Role::Ledger:
      return "ledger";
    case Role::Etcd:
      return "etcd";
    case Role::Bitcoind:
      return "bitcoind";
    case Role::Tool:
      return "tool";
  }
  return "unknown";
}

// "signer-3": the name used in certificates, logs, records and on the command line.
struct ProcessName {
  Role role = Role::Tool;
  std::uint16_t index = 0;
  friend constexpr auto operator<=>(const ProcessName&, const ProcessName&) = default;
  [[nodiscard]] std::string text() const {
    return std::string(role_name(role)) + "-" + std::to_string(index);
  }
};

}  // namespace roulette
