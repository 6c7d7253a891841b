// RFC 3161 time stamps: an authority's word that an envelope existed at a time.
//
// Invariant: a token counts only for the envelope whose SHA-256 it names; whose word it is, only a
// certificate that the auditor trusts says.
// Source: RFC 3161; tokens are whole TimeStampResp, as `openssl ts -query` and `-reply` make them.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace roulette::evidence {

struct TimeStamp {
  std::string at;       // as the token says it, UTC: "20261126133000Z"
  bool pinned = false;  // signed under the certificate that is trusted
};
// `authority`: the PEM text of a certificate to trust, or empty: then the signature is not looked
// at. Corrupt, with what is wrong.
[[nodiscard]] Result<TimeStamp> check_time_stamp(std::string_view token, std::string_view envelope,
                                                 std::string_view authority);

}  // namespace roulette::evidence
