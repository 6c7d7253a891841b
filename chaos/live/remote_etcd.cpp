// The user's etcd, as the tool itself speaks to it: see remote_etcd.h.
#include "chaos/live/remote_etcd.h"

#include <filesystem>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "common/base/base64.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/tls_client.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr Duration kAnswer = seconds(5);
constexpr std::size_t kMostMembers = 16;
constexpr std::size_t kRefusalBytes = 200;

Error usage(const std::string& what) {
  return Error{ErrorKind::Usage, what};
}

// One call, waited for. Errors name the member.
class Member {
 public:
  static Result<std::unique_ptr<Member>> connect(runtime::EventLoop& loop, const EtcdAccess& etcd,
                                                 const runtime::HttpUrl& url) {
    runtime::HttpClient::Options options;
    const auto address = runtime::resolve_ipv4(url.host);
    if (!address) return failed(url, address.error().message);
    options.address = *address;
    options.port = url.port;
    options.host = url.host;
    options.connections = 1;
    if (url.tls) {
      auto tls = runtime::TlsClientContext::load({etcd.ca, etcd.cert, etcd.key});
      if (!tls) return tls.error();
      options.tls = std::move(tls).value();
    }
    return std::unique_ptr<Member>(new Member(loop, url, std::move(options)));
  }

  Result<json> call(const std::string& target, const std::string& body) {
    runtime::HttpCall call;
    call.method = "POST";
    call.target = target;
    call.body = body;
    call.deadline = kAnswer;
    const auto answer = std::make_shared<std::optional<Result<runtime::HttpResponse>>>();
    client_.call(std::move(call),
                 [answer](Result<runtime::HttpResponse> given) { *answer = std::move(given); });
    [[maybe_unused]] const bool came =
        loop_.run_until([&] { return answer->has_value(); }, kAnswer + seconds(1));
    if (!*answer) return failed(url_, "it does not answer");
    if (!(*answer)->ok()) return failed(url_, explain((*answer)->error()));
    const runtime::HttpResponse& response = (*answer)->value();
    json parsed = json::parse(response.body, nullptr, false);
    if (response.status == 200 && parsed.is_object()) return parsed;
    return failed(url_, refusal(response));
  }

 private:
  Member(runtime::EventLoop& loop, runtime::HttpUrl url, runtime::HttpClient::Options options)
      : loop_(loop), url_(std::move(url)), client_(loop, std::move(options)) {}

  static Error failed(const runtime::HttpUrl& url, const std::string& why) {
    return Error{ErrorKind::Preflight, "etcd " + url.text() + ": " + why};
  }

  [[nodiscard]] std::string explain(const Error& error) const {
    const bool spoken = error.message.starts_with("read: ") || error.message.starts_with("write: ");
    if (!url_.tls && spoken) return error.message + ": is it https?";
    if (error.message.find("connect: ") == std::string::npos) return error.message;
    return error.message + ": is this member up, and may this machine connect to it?";
  }

  // etcd's gateway is a client of its own member, with the member's certificate for both.
  static std::string refusal(const runtime::HttpResponse& response) {
    std::string text = "HTTP " + std::to_string(response.status) + ": " +
                       response.body.substr(0, kRefusalBytes);
    if (response.body.find("authentication handshake failed") != std::string::npos ||
        response.body.find("bad certificate") != std::string::npos)
      text += ": its JSON gateway cannot speak to the member itself: with --client-cert-auth the "
              "certificate of --cert-file must be good for client authentication, too";
    if (response.body.find("HTTPS server") != std::string::npos) text += ": is it https?";
    if (response.body.find("user name is empty") != std::string::npos)
      text += ": its users are on (`etcdctl auth enable`), and the JSON gateway does not take a "
              "certificate's name for one: use an etcd whose clients are told apart by "
              "certificate alone";
    return text;
  }

  runtime::EventLoop& loop_;
  runtime::HttpUrl url_;
  runtime::HttpClient client_;
};

Status read_file_flag(const char* flag, const std::string& value, std::string& out) {
  if (value.empty()) return {};
  if (value.find("-----BEGIN") != std::string::npos)
    return usage(std::string(flag) + " is the path of a file, not what is in it");
  std::error_code unused;
  if (!std::filesystem::is_regular_file(value, unused))
    return usage(std::string(flag) + ": '" + value + "' is no file");
  out = std::filesystem::absolute(value, unused).string();
  return {};
}

}  // namespace

bool names_members(const BinaryOptions& options) {
  return options.etcd.find("://") != std::string::npos;
}

Result<EtcdAccess> read_etcd_access(const BinaryOptions& options) {
  EtcdAccess out;
  if (!names_members(options)) {
    if (options.etcd_ca.empty() && options.etcd_cert.empty() && options.etcd_key.empty())
      return out;
    return usage("--etcd-ca, --etcd-cert and --etcd-key go with --etcd https://HOST:PORT,...");
  }
  std::string rest = options.etcd;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const auto url = runtime::parse_http_url(rest.substr(0, comma));
    if (!url) return url.error().with_context("--etcd");
    out.members.push_back(*url);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  if (out.members.size() > kMostMembers)
    return usage("--etcd names more than " + std::to_string(kMostMembers) + " members");
  const bool tls = out.members.front().tls;
  for (const runtime::HttpUrl& url : out.members)
    if (url.tls != tls) return usage("--etcd mixes http and https");
  for (const auto& [flag, value, slot] :
       {std::tuple{"--etcd-ca", options.etcd_ca, &out.ca},
        std::tuple{"--etcd-cert", options.etcd_cert, &out.cert},
        std::tuple{"--etcd-key", options.etcd_key, &out.key}}) {
    if (!tls && !value.empty())
      return usage(std::string(flag) + " has no meaning with http://");
    if (const Status read = read_file_flag(flag, value, *slot); !read) return read.error();
  }
  if (tls && out.ca.empty()) return usage("https:// needs --etcd-ca: whom to trust");
  if (out.cert.empty() != out.key.empty()) return usage("--etcd-cert and --etcd-key go together");
  return out;
}

Status check_members(const EtcdAccess& etcd) {
  runtime::EventLoop loop;
  std::string cluster, first;
  for (const runtime::HttpUrl& url : etcd.members) {
    const auto member = Member::connect(loop, etcd, url);
    if (!member) return member.error();
    const auto status = (*member)->call("/v3/maintenance/status", "{}");
    if (!status) return status.error();
    const auto refuse = [&](const std::string& why) {
      return Error{ErrorKind::Preflight, "etcd " + url.text() + ": " + why};
    };
    if (status->value("leader", "0") == "0")
      return refuse("it knows no leader: start the majority of its members");
    const std::string id = status->contains("header")
                               ? (*status)["header"].value("cluster_id", "")
                               : std::string();
    if (!cluster.empty() && id != cluster)
      return refuse("it belongs to another etcd cluster than " + first);
    cluster = id;
    first = first.empty() ? url.text() : first;
  }
  return {};
}

Status remove_keys(const EtcdAccess& etcd, const std::string& cluster) {
  const auto quoted = [](const std::string& key) {
    return "\"" + encode_base64(as_bytes(key)) + "\"";
  };
  // '0' is '/' + 1: behind every key of this cluster, and of no other.
  const std::string body = R"({"key":)" + quoted(cluster + "/") + R"(,"range_end":)" +
                           quoted(cluster + "0") + "}";
  runtime::EventLoop loop;
  Status last = Error{ErrorKind::Network, "no member was asked"};
  for (const runtime::HttpUrl& url : etcd.members) {
    const auto member = Member::connect(loop, etcd, url);
    if (!member) {
      last = member.error();
      continue;
    }
    const auto removed = (*member)->call("/v3/kv/deleterange", body);
    if (removed) return {};
    last = removed.error();
  }
  return last;
}

}  // namespace roulette::chaos
