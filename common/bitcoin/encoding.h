// Bitcoin's own byte encoding: little-endian integers and compact sizes.
//
// Invariant: the reader accepts only the shortest compact size, so that one value has one encoding.
// After the first violation every read returns zero and ok() stays false. (canonical.h is ours,
// this is Bitcoin's.)
#pragma once

#include <cstdint>

#include "common/base/bytes.h"

namespace roulette::bitcoin {

class Writer {
 public:
  void u8(std::uint8_t v) { out_.push_back(v); }
  void u16(std::uint16_t v) { little_endian(v, 2); }
  void u32(std::uint32_t v) { little_endian(v, 4); }
  void i32(std::int32_t v) { u32(static_cast<std::uint32_t>(v)); }
  void u64(std::uint64_t v) { little_endian(v, 8); }
  void i64(std::int64_t v) { u64(static_cast<std::uint64_t>(v)); }
  void raw(ByteSpan bytes) { append(out_, bytes); }
  void compact_size(std::uint64_t n) {
    if (n < 0xfd) {
      u8(static_cast<std::uint8_t>(n));
    } else if (n <= 0xffff) {
      u8(0xfd);
      u16(static_cast<std::uint16_t>(n));
    } else if (n <= 0xffffffff) {
      u8(0xfe);
      u32(static_cast<std::uint32_t>(n));
    } else {
      u8(0xff);
      u64(n);
    }
  }
  void bytes(ByteSpan v) {
    compact_size(v.size());
    raw(v);
  }

  [[nodiscard]] const Bytes& view() const { return out_; }
  [[nodiscard]] Bytes take() { return std::move(out_); }

 private:
  void little_endian(std::uint64_t v, int width) {
    for (int i = 0; i < width; ++i) out_.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
  }
  Bytes out_;
};

[[nodiscard]] constexpr std::size_t compact_size_bytes(std::uint64_t n) {
  return n < 0xfd ? 1 : n <= 0xffff ? 3 : n <= 0xffffffff ? 5 : 9;
}

class Reader {
 public:
  explicit Reader(ByteSpan input) : input_(input) {}

  [[nodiscard]] std::uint8_t u8() { return static_cast<std::uint8_t>(little_endian(1)); }
  [[nodiscard]] std::uint32_t u32() { return static_cast<std::uint32_t>(little_endian(4)); }
  [[nodiscard]] std::int32_t i32() { return static_cast<std::int32_t>(u32()); }
  [[nodiscard]] std::int64_t i64() { return static_cast<std::int64_t>(little_endian(8)); }
  [[nodiscard]] Hash32 hash() {
    Hash32 out{};
    const ByteSpan from = take(out.size());
    for (std::size_t i = 0; i < from.size(); ++i) out[i] = from[i];
    return out;
  }
  [[nodiscard]] std::uint64_t compact_size() {
    const std::uint8_t first = u8();
    if (first < 0xfd) return first;
    const std::size_t width = first == 0xfd ? 2 : first == 0xfe ? 4 : 8;
    const std::uint64_t n = little_endian(width);
    if (compact_size_bytes(n) != 1 + width) fail("a compact size is not minimal");
    return ok() ? n : 0;
  }
  // The length of a list whose elements take at least `element_size` bytes each: a hostile length
  // fails here, before anybody reserves memory for it.
  [[nodiscard]] std::size_t count(std::size_t element_size) {
    const std::uint64_t n = compact_size();
    if (n > remaining() / element_size) {
      fail("a count exceeds the bytes that follow");
      return 0;
    }
    return static_cast<std::size_t>(n);
  }
  [[nodiscard]] Bytes bytes() {
    const ByteSpan from = take(count(1));
    return Bytes(from.begin(), from.end());
  }
  [[nodiscard]] bool next_is(std::uint8_t byte) const {
    return ok() && remaining() > 0 && input_[position_] == byte;
  }

  void fail(const char* why) {
    if (ok()) why_ = why;
  }
  [[nodiscard]] bool ok() const { return why_ == nullptr; }
  [[nodiscard]] const char* why() const { return why_; }
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t remaining() const { return input_.size() - position_; }

 private:
  ByteSpan take(std::size_t n) {
    if (n > remaining()) fail("the bytes end too early");
    if (!ok()) return {};
    const ByteSpan out = input_.subspan(position_, n);
    position_ += n;
    return out;
  }
  std::uint64_t little_endian(std::size_t width) {
    std::uint64_t v = 0;
    int shift = 0;
    for (const std::uint8_t byte : take(width)) {
      v |= static_cast<std::uint64_t>(byte) << shift;
      shift += 8;
    }
    return v;
  }
  ByteSpan input_;
  std::size_t position_ = 0;
  const char* why_ = nullptr;  // a literal
};

}  // namespace roulette::bitcoin
