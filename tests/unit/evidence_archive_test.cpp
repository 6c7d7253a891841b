// The parts that a bundle is made of: archive, chains, envelopes, keys.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "chaos/evidence/event_chain.h"
#include "chaos/evidence/operator_key.h"
#include "chaos/evidence/ustar.h"
#include "common/crypto/hash.h"
#include "common/runtime/process.h"

namespace roulette::evidence {
namespace {

namespace fs = std::filesystem;

std::string archive_of(std::vector<ArchivedFile> files) {
  const auto archive = write_ustar(std::move(files));
  REQUIRE(archive.ok());
  return *archive;
}

Hash32 of(std::initializer_list<ByteSpan> parts) {
  crypto::Sha256 hash;
  for (const ByteSpan part : parts) hash.update(part);
  return hash.finish();
}

constexpr std::uint8_t kLeaf[] = {0}, kNode[] = {1};

struct Folder {
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "roulette-key-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

}  // namespace

TEST_CASE("an archive gives its files back in the order of their names") {
  const std::string big(1025, 'x');
  const std::string archive = archive_of({{"run/b", big}, {"run/a", ""}, {"run/c.d", "12"}});
  CHECK(archive.size() % 512 == 0);
  const auto files = read_ustar(archive);
  REQUIRE(files.ok());
  REQUIRE(files->size() == 3);
  CHECK((*files)[0].name == "run/a");
  CHECK((*files)[1].content == big);
  CHECK((*files)[2].content == "12");
  CHECK(archive == archive_of({{"run/a", ""}, {"run/c.d", "12"}, {"run/b", big}}));
}

TEST_CASE("an archive takes no names that could leave its folder or differ between machines") {
  const auto bad = GENERATE("", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a b", "\xc3\xa4",
                            "a\n");
  CHECK_FALSE(is_archive_name(bad));
  CHECK_FALSE(write_ustar({{bad, "x"}}).ok());
  CHECK_FALSE(is_archive_name(std::string(100, 'a')));
  CHECK(is_archive_name(std::string(99, 'a')));
  CHECK_FALSE(write_ustar({{"a", "x"}, {"a", "y"}}).ok());
}

TEST_CASE("no byte of an archive can change but those of the contents") {
  const std::string archive = archive_of({{"run/a", "abc"}, {"run/b", std::string(600, 'y')}});
  std::size_t taken = 0;
  for (std::size_t at = 0; at < archive.size(); ++at) {
    for (const char bit : {'\x01', '\x10', '\x80'}) {
      std::string flipped = archive;
      flipped[at] = static_cast<char>(flipped[at] ^ bit);
      const auto files = read_ustar(flipped);
      if (!files) continue;
      ++taken;
      // A content, and never a name: that is in the checksum.
      const bool content = (at >= 512 && at < 515) || (at >= 1536 && at < 2136);
      INFO("byte " << at);
      CHECK(content);
    }
  }
  CHECK(taken == 603 * 3);
}

TEST_CASE("an archive that is cut or goes on is refused") {
  const std::string archive = archive_of({{"run/a", "abc"}});
  for (std::size_t size = 0; size < archive.size(); ++size)
    CHECK_FALSE(read_ustar(std::string_view(archive).substr(0, size)).ok());
  CHECK_FALSE(read_ustar(archive + std::string(1, '\0')).ok());
  CHECK_FALSE(read_ustar(archive + std::string(512, '\0')).ok());
  CHECK_FALSE(read_ustar(archive + archive).ok());
}

TEST_CASE("files of an archive that are not in order are refused") {
  const std::string a = archive_of({{"a", ""}}), b = archive_of({{"b", ""}});
  const std::string end(1024, '\0');
  CHECK(read_ustar(a.substr(0, 512) + b.substr(0, 512) + end).ok());
  const auto swapped = read_ustar(b.substr(0, 512) + a.substr(0, 512) + end);
  REQUIRE_FALSE(swapped.ok());
  CHECK(swapped.error().message.find("a does not come after b") != std::string::npos);
  CHECK_FALSE(read_ustar(a.substr(0, 512) + a.substr(0, 512) + end).ok());
}

TEST_CASE("a Merkle root is RFC 6962's for every number of leaves") {
  // By the recursive definition, which splits at the largest power of two below n.
  const std::function<Hash32(const std::vector<std::string>&)> root =
      [&](const std::vector<std::string>& leaves) -> Hash32 {
    if (leaves.empty()) return of({});
    if (leaves.size() == 1) return of({kLeaf, as_bytes(leaves[0])});
    std::size_t split = 1;
    while (split * 2 < leaves.size()) split *= 2;
    const auto middle = leaves.begin() + static_cast<std::ptrdiff_t>(split);
    return of({kNode, root({leaves.begin(), middle}), root({middle, leaves.end()})});
  };
  std::vector<std::string> leaves;
  MerkleTree tree;
  for (int n = 0; n < 40; ++n) {
    CHECK(tree.root() == root(leaves));
    CHECK(tree.leaves() == leaves.size());
    leaves.push_back("leaf " + std::to_string(n));
    tree.add(leaves.back());
  }
  // RFC 6962's test vector of an empty tree.
  CHECK(to_hex(MerkleTree().root()) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("a chain goes over the lines of its process and of no other") {
  const std::string head = "{\"format\":\"roulette-events\",\"version\":1}\n";
  const std::string a = "{\"process\":\"signer-0\",\"seq\":1}\n";
  const std::string b = "{\"process\":\"signer-1\",\"seq\":1}\n";
  const std::string c = "{\"process\":\"signer-0\",\"seq\":2}\n";
  const auto chains = chain_events(head + a + b + c);
  REQUIRE(chains.ok());
  CHECK(chains->lines == 4);
  REQUIRE(chains->processes.size() == 2);
  CHECK(chains->processes.at("signer-0").events == 2);
  const Hash32 first = of({as_bytes("roulette-chain"), as_bytes("signer-0")});
  const Hash32 second = of({first, as_bytes(a.substr(0, a.size() - 1))});
  CHECK(chains->processes.at("signer-0").head == of({second, as_bytes(c.substr(0, c.size() - 1))}));
  const auto moved = chain_events(head + b + a + c);
  REQUIRE(moved.ok());
  CHECK(moved->processes.at("signer-0").head == chains->processes.at("signer-0").head);
  CHECK(moved->root != chains->root);
  const auto swapped = chain_events(head + c + b + a);
  REQUIRE(swapped.ok());
  CHECK(swapped->processes.at("signer-0").head != chains->processes.at("signer-0").head);
  CHECK_FALSE(chain_events(head + a + "{\"seq\":1}\n").ok());
  CHECK_FALSE(chain_events(head + a.substr(0, a.size() - 1)).ok());
}

TEST_CASE("an Ed25519 key signs as RFC 8032 says") {
  // Section 7.1, test 2.
  const auto seed =
      array_from_hex<32>("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  const auto key = OperatorKey::from_seed(Secret<32>(*seed));
  REQUIRE(key.ok());
  CHECK(to_hex(key->public_key()) ==
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const Bytes message{0x72};
  const auto signature = key->sign(message);
  REQUIRE(signature.ok());
  CHECK(to_hex(*signature) ==
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  CHECK(crypto::verify_ed25519(key->public_key(), message, *signature));
  CHECK_FALSE(crypto::verify_ed25519(key->public_key(), Bytes{0x73}, *signature));
}

TEST_CASE("what an envelope signs is the pre-authentication encoding of DSSE") {
  // The example of DSSE's protocol.md.
  CHECK(pre_authentication("http://example.com/HelloWorld", "hello world") ==
        "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  const std::string text = seal({"{}\n", {{"SHA256:00", Bytes(64, 7)}}});
  const auto opened = open_envelope(text);
  REQUIRE(opened.ok());
  CHECK(opened->payload == "{}\n");
  CHECK(opened->signatures.at(0).key_id == "SHA256:00");
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string flipped = text;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    const auto other = open_envelope(flipped);
    if (other) CHECK(seal(*other) == flipped);
  }
  CHECK_FALSE(open_envelope(text + " ").ok());
  CHECK_FALSE(open_envelope("{}").ok());
  CHECK_FALSE(open_envelope("").ok());
}

TEST_CASE("an operator's key is made once, kept from others, and named by its fingerprint") {
  const Folder folder;
  const fs::path path = folder.path / "deep" / "operator.pem";
  runtime::KernelEntropy entropy;
  const auto missing = read_operator_key(path);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().kind == ErrorKind::Preflight);
  CHECK(missing.error().message.find("roulette key new") != std::string::npos);
  const auto made = make_operator_key(path, entropy);
  REQUIRE(made.ok());
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK_FALSE(make_operator_key(path, entropy).ok());
  const auto read = read_operator_key(path);
  REQUIRE(read.ok());
  CHECK(read->public_key() == made->public_key());

  const std::string print = fingerprint(made->public_key());
  CHECK(trusted_fingerprint(print).value() == print);
  CHECK(trusted_fingerprint(path.string()).value() == print);
  const fs::path pem = folder.path / "pub.pem";
  std::ofstream(pem) << *public_key_pem(made->public_key());
  CHECK(trusted_fingerprint(pem.string()).value() == print);
  CHECK_FALSE(trusted_fingerprint("SHA256:12").ok());
  CHECK_FALSE(trusted_fingerprint((folder.path / "none").string()).ok());

  fs::permissions(path, fs::perms::group_read, fs::perm_options::add);
  CHECK(read_operator_key(path).error().message.find("chmod 600") != std::string::npos);
  std::ofstream(folder.path / "other.pem") << "no key";
  fs::permissions(folder.path / "other.pem", fs::perms::owner_read);
  CHECK(read_operator_key(folder.path / "other.pem").error().message.find("no Ed25519") !=
        std::string::npos);
}

}  // namespace roulette::evidence
