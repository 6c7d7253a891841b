// The Idempotency-Key field: which spellings are one key, and which are refused.
//
// Invariant tested: every accepted field has exactly one reading.
#include <catch2/catch.hpp>

#include "common/wire/idempotency_key.h"

using roulette::wire::parse_idempotency_key;

TEST_CASE("a quoted and a bare idempotency key are one key") {
  CHECK(*parse_idempotency_key("\"8e03978e-40d5\"") == "8e03978e-40d5");
  CHECK(*parse_idempotency_key("8e03978e-40d5") == "8e03978e-40d5");
  CHECK(*parse_idempotency_key("  \"k\"\t") == "k");
}

TEST_CASE("escapes of a quoted idempotency key are undone") {
  CHECK(*parse_idempotency_key(R"("a\"b\\c")") == R"(a"b\c)");
  CHECK_FALSE(parse_idempotency_key(R"("a\nb")").ok());
  CHECK_FALSE(parse_idempotency_key(R"("a\)").ok());
}

TEST_CASE("an idempotency key has 1 to 255 visible ASCII characters") {
  CHECK_FALSE(parse_idempotency_key("").ok());
  CHECK_FALSE(parse_idempotency_key("   ").ok());
  CHECK_FALSE(parse_idempotency_key("\"\"").ok());
  CHECK(parse_idempotency_key(std::string(255, 'k')).ok());
  CHECK(parse_idempotency_key("\"" + std::string(255, 'k') + "\"").ok());
  CHECK_FALSE(parse_idempotency_key(std::string(256, 'k')).ok());
  CHECK_FALSE(parse_idempotency_key("\"" + std::string(256, 'k') + "\"").ok());
  CHECK_FALSE(parse_idempotency_key("a b").ok());
  CHECK_FALSE(parse_idempotency_key("\"a b\"").ok());
  CHECK_FALSE(parse_idempotency_key("k\xc3\xa9").ok());
  CHECK_FALSE(parse_idempotency_key(std::string("a\0b", 3)).ok());
}

TEST_CASE("an idempotency key with two readings is refused") {
  CHECK_FALSE(parse_idempotency_key("\"a\"b").ok());
  CHECK_FALSE(parse_idempotency_key("\"a\"; p=1").ok());
  CHECK_FALSE(parse_idempotency_key("\"a").ok());
  CHECK_FALSE(parse_idempotency_key("a\"").ok());
  CHECK_FALSE(parse_idempotency_key("a\\b").ok());
  CHECK_FALSE(parse_idempotency_key("\"a\", \"b\"").ok());
}
