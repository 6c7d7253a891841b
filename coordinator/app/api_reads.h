// Reads of the HTTP API: parameters, filters and cursors.
//
// Invariant: a parameter that is unknown, repeated or does not parse is a 400 that names it; a read
// never becomes anything but a query. Cursors are opaque to clients: only what a listing gave is
// taken back, and only by the same listing.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "common/runtime/http_message.h"
#include "coordinator/app/routes.h"
#include "coordinator/core/coordinator.h"

namespace roulette::coordinator {

// Of the query, by name.
[[nodiscard]] std::span<const std::string_view> parameters(Operation operation);
[[nodiscard]] Problem bad_request(const std::string& detail);
// A query parameter that this operation does not know or that is given twice.
[[nodiscard]] std::optional<Problem> wrong_parameter(Operation operation,
                                                     const runtime::HttpRequest& request);
[[nodiscard]] std::variant<ClientRequestBody, Problem> parse_read(
    Operation operation, const std::string& argument, const runtime::HttpRequest& request);

[[nodiscard]] std::string cursor_text(wire::PageKind kind, const wire::PageFrom& from);
[[nodiscard]] std::optional<wire::PageFrom> parse_cursor(wire::PageKind kind,
                                                         std::string_view text);

}  // namespace roulette::coordinator
