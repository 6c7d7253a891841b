// Why a request is not signed: the signer's expected "no", as a value.
//
// Invariant: a Denied was decided before any secret nonce was touched. It is an outcome of the
// protocol, not an Error, and never evidence against the sender unless `blamed` is set.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "common/base/ids.h"
#include "common/wire/messages.h"

namespace roulette::signer {

struct Denied {
  wire::RefusalReason reason = wire::RefusalReason::BadRequest;
  std::string detail;
  std::optional<SignerId> blamed = {};
};

[[nodiscard]] inline Denied denied(wire::RefusalReason reason, std::string detail) {
  return Denied{reason, std::move(detail)};
}

}  // namespace roulette::signer
