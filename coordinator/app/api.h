// The HTTP API's spelling (docs/API.md): requests as the machine's values, its replies as JSON.
//
// Invariant: what does not parse is answered here with a problem document that names the field;
// the machine sees well-formed values only. No state; tokens are tokens.h.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/runtime/http_message.h"
#include "coordinator/core/coordinator.h"

namespace roulette::coordinator {

// A /v1 request as the machine takes it, or the problem that answers it.
[[nodiscard]] std::variant<ClientRequestBody, Problem> parse_request(
    const runtime::HttpRequest& request, std::int64_t unix_time_us);

// "create", "get", "find", "balances", "list", ...: as the records spell it.
[[nodiscard]] const char* request_kind(const ClientRequestBody& body);

[[nodiscard]] runtime::HttpResponse render(const ReplyBody& reply);

}  // namespace roulette::coordinator
